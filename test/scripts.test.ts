/**
 * What a newcomer touches first: the launcher, the installer and the test runner, each in a folder of its own with
 * real processes and without network.
 */

import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';

const ROOT = path.dirname(import.meta.dirname);
const TEMPORARY = mkdtempSync(path.join(tmpdir(), 'undisclosed-scripts-'));
after(() => rmSync(TEMPORARY, { recursive: true }));

let made = 0;

/** A folder with the given files; a text beginning with #! becomes executable. */
function folder(files: Readonly<Record<string, string>>): string {
  const place = path.join(TEMPORARY, String(++made));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(path.dirname(path.join(place, name)), { recursive: true });
    writeFileSync(path.join(place, name), text);
    if (text.startsWith('#!')) chmodSync(path.join(place, name), 0o755);
  }
  return place;
}

function start(
  command: string,
  args: readonly string[],
  options: object = {},
): SpawnSyncReturns<string> {
  return spawnSync(command, args, { encoding: 'utf8', ...options });
}

describe('the launcher', () => {
  const checkout = folder({
    'package.json': '{"type":"module"}',
    'node_modules/pg/package.json': '{}',
    'src/main.ts':
      'const out: string[] = [process.cwd(), ...process.argv.slice(2)];\nconsole.log(JSON.stringify(out));\n',
  });
  cpSync(path.join(ROOT, 'undisclosed'), path.join(checkout, 'undisclosed'));
  const bin = path.join(checkout, 'node_modules', `node-linux-${process.arch}`, 'bin');
  mkdirSync(bin, { recursive: true });
  symlinkSync(process.execPath, path.join(bin, 'node'));

  test('runs from any folder, through symbolic links, with arguments as they are', () => {
    const elsewhere = folder({ 'x/y': '' });
    symlinkSync(
      path.relative(elsewhere, path.join(checkout, 'undisclosed')),
      path.join(elsewhere, 'first'),
    );
    symlinkSync('first', path.join(elsewhere, 'second'));
    for (const command of [path.join(checkout, 'undisclosed'), './first', './second']) {
      const { stdout, stderr } = start(command, ['a b', '*', ''], { cwd: elsewhere });
      assert.deepEqual(JSON.parse(stdout || 'null'), [elsewhere, 'a b', '*', ''], stderr);
    }
    const { stdout } = start('sh', ['second'], { cwd: elsewhere });
    assert.deepEqual(JSON.parse(stdout), [elsewhere]);
  });

  test('says in one line what is missing: Node, a newer Node, the packages', () => {
    const bare = folder({
      'src/main.ts': '',
      'old/node': '#!/bin/sh\necho 20.20.2\n',
      'new/node': '#!/bin/sh\necho 22.18.0\n',
    });
    cpSync(path.join(ROOT, 'undisclosed'), path.join(bare, 'undisclosed'));
    const sh = '/bin/sh';
    for (const [PATH, expected] of [
      ['/nonexistent', /Node\.js is missing/],
      [path.join(bare, 'old'), /Node 20\.20\.2 is too old/],
      [path.join(bare, 'new'), /packages are not installed/],
    ] as const) {
      const { status, stderr } = start(sh, [path.join(bare, 'undisclosed')], { env: { PATH } });
      assert.match(stderr, expected);
      assert.match(stderr, /scripts\/prepare\.cjs/);
      assert.equal(stderr.trim().split('\n').length, 1);
      assert.equal(status, 2);
    }
  });
});

describe('prepare', () => {
  const integrity = `sha512-${createHash('sha512').update('small').digest('base64')}`;
  const lock = (version: string, installed = false): string =>
    JSON.stringify({
      lockfileVersion: 3,
      packages: {
        '': { dependencies: { small: '^1.0.0' } },
        'node_modules/small': { version, integrity },
        ...(installed
          ? {}
          : {
              'node_modules/large': { version, integrity, dev: true },
              'node_modules/foreign': {
                version,
                integrity,
                optional: true,
                os: ['aix'],
                cpu: ['ppc64'],
              },
            }),
      },
    });
  /** A checkout whose npm is a program that only notes that it was called. */
  function checkout(installed: string): {
    place: string;
    run: (mode: string) => SpawnSyncReturns<string>;
  } {
    const place = folder({
      'package.json': '{"dependencies":{"small":"^1.0.0"}}',
      'package-lock.json': lock('1.0.0'),
      'node_modules/.package-lock.json': installed,
      'node_modules/small/package.json': '{}',
      'demo/package.json': '{}',
      'demo/package-lock.json': '{"packages":{}}',
      'demo/node_modules/.package-lock.json': '{"packages":{}}',
      'bin/npm':
        '#!/bin/sh\necho "$@" >> "$0.calls"\necho "npm error code ECONNREFUSED" >&2\nexit 1\n',
    });
    mkdirSync(path.join(place, 'scripts'));
    cpSync(path.join(ROOT, 'scripts/prepare.cjs'), path.join(place, 'scripts/prepare.cjs'));
    const bin = path.join(place, 'node_modules', `node-linux-${process.arch}`, 'bin');
    mkdirSync(bin, { recursive: true });
    symlinkSync(process.execPath, path.join(bin, 'node'));
    const env = { PATH: `${path.join(place, 'bin')}:/usr/bin:/bin` };
    const run = (mode: string): SpawnSyncReturns<string> =>
      start(process.execPath, [path.join(place, 'scripts/prepare.cjs'), mode], { env });
    return { place, run };
  }

  test('takes what npm installed in the locked versions, without calling npm, and then is quick', () => {
    const { place, run } = checkout(lock('1.0.0', true));
    const first = run('demo');
    assert.equal(first.status, 0, first.stderr);
    assert.ok(!existsSync(path.join(place, 'bin/npm.calls')));
    const stamp = JSON.parse(
      readFileSync(path.join(place, 'node_modules/.undisclosed-stamp'), 'utf8'),
    );
    assert.equal(stamp.mode, 'demo');
    const again = run('demo');
    assert.equal(again.status, 0);
    assert.equal(again.stderr, '');
  });

  test('says beforehand how much it will install, and in one line why it could not', () => {
    const { place, run } = checkout(lock('0.9.9', true));
    const { status, stderr } = run('demo');
    assert.match(stderr, /about \d+ MB to download, \d+ MB on disk/);
    assert.match(
      stderr,
      /^prepare: .*registry cannot be reached \(ECONNREFUSED\).*run this again$/m,
    );
    assert.equal(status, 2);
    const calls = readFileSync(path.join(place, 'bin/npm.calls'), 'utf8');
    assert.match(calls, /--ignore-scripts.*--omit=dev/);
    assert.ok(!existsSync(path.join(place, 'node_modules/.undisclosed-stamp')));
  });

  test('what was installed for the demo is not enough for the tests', () => {
    const { place, run } = checkout(lock('1.0.0', true));
    assert.equal(run('demo').status, 0);
    assert.equal(run('test').status, 2);
    assert.match(readFileSync(path.join(place, 'bin/npm.calls'), 'utf8'), /--include=dev/);
  });

  test('refuses a lock file that does not know the dependencies', () => {
    const { place, run } = checkout(lock('0.9.9', true));
    writeFileSync(path.join(place, 'package.json'), '{"dependencies":{"small":"^2.0.0"}}');
    assert.match(run('demo').stderr, /lock file disagree about dependencies/);
  });
});

describe('the test runner', () => {
  function runTests(
    files: Readonly<Record<string, string>>,
    args: readonly string[] = [],
  ): { last: string; out: string; status: number | null } {
    const place = folder(files);
    mkdirSync(path.join(place, 'scripts'));
    for (const name of ['run-tests.mjs', 'watch-processes.mjs', 'apt.mjs']) {
      cpSync(path.join(ROOT, 'scripts', name), path.join(place, 'scripts', name));
    }
    // A test process that starts test processes would take part in the outer run.
    const { NODE_TEST_CONTEXT, UNDISCLOSED_APT, INIT_CWD, ...env } = process.env;
    const result = start(process.execPath, [path.join(place, 'scripts/run-tests.mjs'), ...args], {
      env,
      cwd: place,
    });
    const out = `${result.stdout}${result.stderr}`;
    return { out, last: result.stdout.trimEnd().split('\n').at(-1) ?? '', status: result.status };
  }
  const passing = "import { test } from 'node:test';\ntest('a', () => {});\ntest('b', () => {});\n";

  test('ends with one plain line and the status of the whole', () => {
    const skipping =
      "import { test } from 'node:test';\ntest('c', { skip: 'needs the Debian package postfix' }, () => {});\n";
    const good = runTests({ 'src/a.test.ts': passing, 'test/interop/b.test.ts': skipping });
    assert.equal(good.last, '2 passed, 0 failed, 1 skipped');
    assert.equal(good.status, 0);
    assert.match(
      good.out,
      /^skipped test\/interop\/b\.test\.ts: c \(needs the Debian package postfix\)$/m,
    );
    const part = runTests({ 'src/a.test.ts': passing, 'test/b.test.ts': skipping }, ['src']);
    assert.equal(part.last, '2 passed, 0 failed, 0 skipped');
  });

  test('a failed test, a file that does not load and a file without a test are failures', () => {
    const bad = runTests({
      'src/a.test.ts': passing,
      'src/b.test.ts':
        "import { test } from 'node:test';\ntest('wrong', () => { throw new Error('so it is'); });\n",
      'src/c.test.ts': "import './absent.ts';\n",
      'src/d.test.ts': 'export {};\n',
    });
    assert.equal(bad.last, '2 passed, 3 failed, 0 skipped');
    assert.equal(bad.status, 1);
    assert.match(bad.out, /so it is/);
    assert.match(bad.out, /Cannot find module .*absent\.ts/);
    assert.match(bad.out, /holds no test/);
  });

  test('a process that outlives its test is a failure, and is ended', () => {
    const leaking = [
      "import { spawn } from 'node:child_process';",
      "import { test } from 'node:test';",
      "test('leaves a process', async () => {",
      "  spawn('sleep', ['77'], { detached: true, stdio: 'ignore', env: {} }).unref();",
      '  await new Promise((resolve) => setTimeout(resolve, 700));',
      '});',
    ].join('\n');
    const { last, out } = runTests({ 'src/a.test.ts': leaking });
    assert.equal(last, '1 passed, 1 failed, 0 skipped');
    const pid = /pid (\d+): .*sleep 77/.exec(out)?.[1];
    assert.ok(pid !== undefined, out);
    assert.ok(
      !existsSync(`/proc/${pid}`) || readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z '),
    );
  });

  test('a part that does not exist is no success', () => {
    const { status, out } = runTests({ 'src/a.test.ts': passing }, ['src/b.test.ts']);
    assert.equal(status, 2);
    assert.match(out, /no test file matches src\/b\.test\.ts/);
  });
});

describe('installing Debian packages', {
  skip: process.getuid?.() === 0 ? false : 'needs root',
}, () => {
  /** Runs the installer among programs that note what they were asked, with a policy file of its own. */
  function install(
    installed: string,
    former: string | null,
  ): { out: string; place: string; calls: string } {
    const place = folder({
      'bin/dpkg-query': `#!/bin/sh\ncase "$*" in *Provides*) printf '${installed}' ;; *) exit 1 ;; esac\n`,
      'bin/apt-get':
        '#!/bin/sh\n[ "$1" = --version ] && exit\necho "$DEBIAN_FRONTEND $*" >> "$0.calls"\ncat "${0%/bin/*}/policy-rc.d" >> "$0.calls"\n',
      'bin/debconf-set-selections': '#!/bin/sh\ncat > "$0.input"\n',
      'run.mjs': `import { installPackages } from '${path.join(ROOT, 'scripts/apt.mjs')}';\ninstallPackages(console.log, process.argv[2]);\n`,
    });
    const policy = path.join(place, 'policy-rc.d');
    if (former !== null) writeFileSync(policy, former);
    const PATH = `${path.join(place, 'bin')}:/usr/bin:/bin`;
    const { stdout, stderr } = start(process.execPath, [path.join(place, 'run.mjs'), policy], {
      env: { PATH },
    });
    const calls = path.join(place, 'bin/apt-get.calls');
    return {
      out: stdout + stderr,
      place,
      calls: existsSync(calls) ? readFileSync(calls, 'utf8') : '',
    };
  }

  test('updates first, removes nothing, starts no service, and puts the former policy back', () => {
    for (const former of [null, '#!/bin/sh\nexit 104\n']) {
      const { out, place, calls } = install('ii |bash|', former);
      assert.match(out, /installing postfix/);
      assert.match(
        calls,
        /^noninteractive update .*\n#!\/bin\/sh\n.*\nexit 101\nnoninteractive install /,
      );
      assert.match(calls, /--no-install-recommends --no-remove postfix/);
      const policy = path.join(place, 'policy-rc.d');
      assert.equal(existsSync(policy) ? readFileSync(policy, 'utf8') : null, former);
      assert.ok(!existsSync(`${policy}.before-undisclosed`));
    }
  });

  test('does nothing where another mail server is installed', () => {
    const { out, calls } = install('ii |exim4-daemon-light|mail-transport-agent', null);
    assert.match(
      out,
      /nothing is installed: exim4-daemon-light is the mail server of this machine/,
    );
    assert.equal(calls, '');
  });
});
