// A PodMonitor from standard input, held against what the Prometheus Operator takes:
// `podmonitor.mjs PACKAGES`. Its schema lets keys pass that it does not know, and an operator would
// drop them unsaid; so the keys are looked up in its types.

import { readFileSync } from 'node:fs';

const folder = `${process.argv[2]}/@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1`;
const { PodMonitor } = await import(`${folder}/PodMonitor.js`);
const monitor = JSON.parse(readFileSync(0));
const problems = [];
try {
  new PodMonitor(monitor).validate();
} catch (error) {
  problems.push(error.message);
}

function keys(where, found, type) {
  const text = readFileSync(`${folder}/${type}.d.ts`, 'utf8');
  const body = text.slice(text.indexOf(`interface I${type} `), text.indexOf('\n}'));
  const known = new Set([...body.matchAll(/^    "(\w+)"\??:/gm)].map((match) => match[1]));
  if (known.size === 0) {
    problems.push(`nothing is known of ${type}`);
  }
  for (const key of Object.keys(found)) {
    if (!known.has(key)) {
      problems.push(`${where} has no key ${key}`);
    }
  }
}

keys('it', monitor, 'PodMonitor');
keys('spec', monitor.spec, 'PodMonitorSpec');
const endpoints = monitor.spec.podMetricsEndpoints ?? [];
for (const endpoint of endpoints) {
  keys('an endpoint', endpoint, 'PodMetricsEndpoint');
}
if (endpoints.length === 0) {
  problems.push('it names no port, and nothing would be scraped');
}
if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exit(1);
}
