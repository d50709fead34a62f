// Writes an MCAP file with @mcap/core, as web tools do: JSON, no compression, an attachment.
//
//   node write_mcap.mjs DIRECTORY FILE
//
// DIRECTORY is where it was installed: it has node_modules in it.

import { open } from "node:fs/promises";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [directory, path] = process.argv.slice(2);
const require = createRequire(resolve(directory, "node_modules"));
const { McapWriter } = require("@mcap/core");

const COUNT = 500;
const START_NS = 1_790_000_000_000_000_000n;

const file = await open(path, "w");
let position = 0n;
const writable = {
  position: () => position,
  write: async (bytes) => {
    await file.write(bytes);
    position += BigInt(bytes.byteLength);
  },
};
const writer = new McapWriter({ writable, chunkSize: 4096 });
const text = new TextEncoder();
await writer.start({ profile: "", library: "web tool" });
const schemaId = await writer.registerSchema({
  name: "foxglove.LocationFix",
  encoding: "jsonschema",
  data: text.encode('{"type": "object"}'),
});
const channels = [];
for (const topic of ["/fix", "/late"]) {
  const metadata = new Map([["topic", topic]]);
  channels.push(
    await writer.registerChannel({ topic, schemaId, messageEncoding: "json", metadata }),
  );
}
await writer.addAttachment({
  name: "notes.txt",
  mediaType: "text/plain",
  logTime: START_NS,
  createTime: START_NS,
  data: text.encode("take-off at dawn"),
});
for (let number = 0; number < COUNT; number++) {
  const logTime = START_NS + BigInt(number) * 10_000_000n;
  await writer.addMessage({
    channelId: channels[number < COUNT - 50 ? 0 : 1],
    sequence: number,
    logTime,
    publishTime: logTime,
    data: text.encode(JSON.stringify({ latitude: 47 + number / 1e6, number })),
  });
}
await writer.end();
await file.close();
