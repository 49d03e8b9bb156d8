// Decodes a histogram log with an implementation that is not ours and prints, per line, what it
// finds: tag, count, percentiles. Usage: node hlog_decode.js FILE (needs hdr-histogram-js).
const fs = require("fs");
let hdr;
try {
  hdr = require("hdr-histogram-js");
} catch {
  console.log("skipped: hdr-histogram-js is not installed");
  process.exit(77);
}
const lines = fs.readFileSync(process.argv[2], "utf8").split("\n");
for (const line of lines) {
  if (line === "" || line.startsWith("#") || line.startsWith('"')) continue;
  const [tag, , , max, payload] = line.split(",");
  const histogram = hdr.decodeFromCompressedBase64(payload);
  const at = (share) => histogram.getValueAtPercentile(share);
  console.log([tag.slice(4), histogram.totalCount, at(50), at(99), at(99.9), Math.round(max * 1e6)].join(" "));
}
