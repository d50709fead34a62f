// Reads MCAP files with @mcap/core and @mcap/support, and prints what is in them, as JSON.
//
//   node read_mcap.mjs DIRECTORY FILE...
//
// DIRECTORY is where they were installed: it has node_modules in it. Each file is read front to
// back, and through its indexes: as a whole, by topic and by time. All must give the same messages,
// and every CRC must be right; otherwise it fails and says why.

import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [directory, ...paths] = process.argv.slice(2);
const require = createRequire(resolve(directory, "node_modules"));
const { McapIndexedReader, McapStreamReader } = require("@mcap/core");
const { loadDecompressHandlers } = require("@mcap/support");

const decompressHandlers = await loadDecompressHandlers();

/** What identifies a message: topic, publisher, sequence, log time, publish time, data. */
function describe(channel, message) {
  return [
    channel.topic,
    channel.metadata.get("publisher_gid") ?? "",
    message.sequence,
    String(message.logTime),
    String(message.publishTime),
    createHash("sha256").update(message.data).digest("hex"),
  ];
}

async function readFrontToBack(file) {
  const reader = new McapStreamReader({ decompressHandlers, validateCrcs: true });
  const channels = new Map();
  const messages = [];
  for await (const bytes of file.createReadStream({ start: 0, autoClose: false })) {
    reader.append(bytes);
    for (let record; (record = reader.nextRecord()); ) {
      if (record.type === "Channel") {
        channels.set(record.id, record);
      } else if (record.type === "Message") {
        messages.push(describe(channels.get(record.channelId), record));
      }
    }
  }
  if (!reader.done()) {
    throw new Error("the file ends too early");
  }
  return messages;
}

async function openIndexed(file) {
  const { size } = await file.stat();
  const readable = {
    size: async () => BigInt(size),
    read: async (offset, length) => {
      const { buffer, bytesRead } = await file.read({
        buffer: new Uint8Array(Number(length)),
        position: Number(offset),
      });
      return buffer.subarray(0, bytesRead);
    },
  };
  return await McapIndexedReader.Initialize({ readable, decompressHandlers });
}

async function readIndexed(reader, options) {
  const messages = [];
  for await (const message of reader.readMessages({ ...options, validateCrcs: true })) {
    messages.push(describe(reader.channelsById.get(message.channelId), message));
  }
  return messages;
}

function requireSame(what, found, expected) {
  const [one, other] = [found, expected].map((messages) => messages.map(String).sort().join("\n"));
  if (one !== other) {
    throw new Error(`${what}: ${found.length} messages, ${expected.length} front to back`);
  }
}

async function readFile(path) {
  const file = await open(path);
  try {
    const messages = await readFrontToBack(file);
    const reader = await openIndexed(file);
    requireSame("by index", await readIndexed(reader, {}), messages);
    for (const topic of new Set(messages.map(([name]) => name))) {
      const expected = messages.filter(([name]) => name === topic);
      requireSame(topic, await readIndexed(reader, { topics: [topic] }), expected);
    }
    const { messageStartTime: first, messageEndTime: last, messageCount } = reader.statistics;
    for (let part = 0n; part < 4n; part++) {
      const startTime = first + ((last - first) * part) / 4n;
      const endTime = first + ((last - first) * (part + 1n)) / 4n;
      const expected = messages.filter(
        ([, , , time]) => BigInt(time) >= startTime && BigInt(time) <= endTime,
      );
      requireSame(`quarter ${part}`, await readIndexed(reader, { startTime, endTime }), expected);
    }
    return { path, profile: reader.header.profile, count: Number(messageCount), messages };
  } finally {
    await file.close();
  }
}

const files = [];
for (const path of paths) {
  try {
    files.push(await readFile(path));
  } catch (error) {
    console.error(`${path}: ${error.stack}`);
    process.exit(1);
  }
}
console.log(JSON.stringify(files));
