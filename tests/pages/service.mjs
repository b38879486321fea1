// A service of its own: a new database, ports that the system chooses, and links that lead to another host and path, so that a
// page that follows PUBLIC_URL instead of where it came from is seen.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const PUBLIC_URL = 'http://sensors.example:8000/api';

export async function startService(binary, settings = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'sensorcast-pages-'));
  const child = spawn(binary, ['serve'], {
    cwd: folder,
    env: { HTTP_BIND: '127.0.0.1:0', MQTT_BIND: '127.0.0.1:0', PUBLIC_URL, RUST_LOG: 'warn', ...settings },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) {
    const address = line.match(/REST +(http:\/\/\S+)/)?.[1];
    if (address) {
      child.stdout.resume();
      return { address, stop: () => stop(child, folder) };
    }
  }
  throw new Error('the service did not start');
}

async function stop(child, folder) {
  const ended = once(child, 'exit');
  child.kill('SIGTERM');
  const [code] = await ended;
  await rm(folder, { recursive: true });
  if (code !== 0) throw new Error(`the service ended with exit code ${code}`);
}
