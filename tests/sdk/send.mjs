// Sends a picture in spans and logs: `send.mjs PICTURE PROTOCOL`, with grpc, http/protobuf or
// http/json.
//
// Prints what the exporters returned for each, as a JSON list. Where to send, whom to trust and what
// to say of itself is said by the SDK's own environment variables.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

// The packages are where the test says, not beside this file.
const require = createRequire(process.env.PACKAGES);
const [, , file, protocol] = process.argv;
const end = { grpc: 'grpc', 'http/protobuf': 'proto', 'http/json': 'http' }[protocol];
const { OTLPTraceExporter } = require(`@opentelemetry/exporter-trace-otlp-${end}`);
const { OTLPLogExporter } = require(`@opentelemetry/exporter-logs-otlp-${end}`);
const { TracerProvider, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace');
const { LoggerProvider, SimpleLogRecordProcessor } = require('@opentelemetry/sdk-logs');

const results = [];

// Writes down what the real exporter says.
function witness(exporter) {
  const send = exporter.export.bind(exporter);
  exporter.export = (items, done) =>
    send(items, (result) => {
      results.push(result.code === 0 ? 'SUCCESS' : String(result.error));
      done(result);
    });
  return { exporter };
}

// Waits until it is sent; what came of that stands in `results`.
const flush = (provider) => provider.forceFlush().catch(() => {});

const picture = readFileSync(file);
const text = picture.toString('base64');
const messages = [
  {
    role: 'user',
    parts: [
      { type: 'text', content: 'What is this?' },
      { type: 'blob', modality: 'image', mime_type: 'image/png', content: text },
    ],
  },
];

const spans = new TracerProvider({
  spanProcessors: [new SimpleSpanProcessor(witness(new OTLPTraceExporter()))],
});
const tracer = spans.getTracer('send.mjs');
for (const attributes of [
  { picture: `data:image/png;base64,${text}` },
  { 'gen_ai.input.messages': JSON.stringify(messages) },
  { picture: text },
  { 'http.request.method': 'GET' },
]) {
  tracer.startSpan('chat', { attributes }).end();
  await flush(spans);
}

const logs = new LoggerProvider({
  processors: [new SimpleLogRecordProcessor(witness(new OTLPLogExporter()))],
});
// As bytes, which the SDK takes in logs and drops in spans.
logs.getLogger('send.mjs').emit({ body: { picture: new Uint8Array(picture) } });
await flush(logs);

await Promise.allSettled([spans.shutdown(), logs.shutdown()]);
process.stdout.write(JSON.stringify(results));
