// Sends a log record with a picture, and a metric: `signals.mjs PICTURE PROTOCOL`, with grpc, http/protobuf or
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
const { OTLPLogExporter } = require(`@opentelemetry/exporter-logs-otlp-${end}`);
const { OTLPMetricExporter } = require(`@opentelemetry/exporter-metrics-otlp-${end}`);
const { LoggerProvider, SimpleLogRecordProcessor } = require('@opentelemetry/sdk-logs');
const { MeterProvider, PeriodicExportingMetricReader } = require('@opentelemetry/sdk-metrics');

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

const logs = new LoggerProvider({
  processors: [new SimpleLogRecordProcessor(witness(new OTLPLogExporter()))],
});
const picture = new Uint8Array(readFileSync(file));
logs.getLogger('signals').emit({ body: { picture } });
await Promise.allSettled([logs.forceFlush()]);

const reader = new PeriodicExportingMetricReader({
  ...witness(new OTLPMetricExporter()),
  exportIntervalMillis: 3_600_000,
});
const metrics = new MeterProvider({ readers: [reader] });
metrics.getMeter('signals').createCounter('pictures.sent').add(3);
// At the end it is sent, and not before.
await Promise.allSettled([metrics.shutdown(), logs.shutdown()]);
process.stdout.write(JSON.stringify(results));
