/**
 * Installs the other mail programs, and the browser, that the interop tests talk to, on a disposable Debian machine.
 *
 * Its invariants: no service is started, nothing is removed, and nothing at all is done where another mail
 * server is installed. Everything it does is said beforehand.
 */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

/** What the interop tests need; each test names its own. */
export const PACKAGES = ['postfix', 'dovecot-imapd', 'opendkim', 'opendkim-tools', 'chromium'];

const POLICY_FILE = '/usr/sbin/policy-rc.d';
const POLICY_MARK = '# undisclosed: starts no service while test packages are installed';
const INSTALL_LIMIT_MS = 5 * 60_000;

/** Those of PACKAGES that are not installed; all of them where there is no dpkg. */
export function missingPackages(packages = PACKAGES) {
  return packages.filter((name) => {
    const { status, stdout } = command('dpkg-query', ['-W', '-f=${db:Status-Abbrev}', name]);
    return status !== 0 || !stdout.startsWith('ii');
  });
}

/** The installed package, other than Postfix, that is a mail server; undefined when there is none. */
function otherMailServer() {
  const { stdout } = command('dpkg-query', [
    '-W',
    '-f=${db:Status-Abbrev}|${Package}|${Provides}\n',
  ]);
  const rows = stdout.split('\n').map((row) => row.split('|'));
  const servers = rows.filter(
    ([status, , provides]) => status?.startsWith('ii') && /\bmail-transport-agent\b/.test(provides),
  );
  return servers.map(([, name]) => name).find((name) => name !== 'postfix');
}

/**
 * Installs what is missing of PACKAGES and says so through `say`. What cannot be installed is skipped by its
 * tests, and the caller decides what a skip means.
 */
export function installPackages(say, policyFile = POLICY_FILE) {
  const missing = missingPackages();
  if (missing.length === 0) {
    say(`${PACKAGES.join(', ')}: all installed`);
    return;
  }
  const obstacle = findObstacle();
  if (obstacle !== undefined) {
    say(`nothing is installed: ${obstacle}; missing: ${missing.join(' ')}`);
    return;
  }
  say(`installing ${missing.join(' ')}; no service is started, nothing is removed`);
  const restorePolicy = forbidServices(policyFile);
  const onSignal = () => {
    restorePolicy();
    process.exit(130);
  };
  process.once('SIGINT', onSignal).once('SIGTERM', onSignal);
  try {
    install(missing, say);
  } finally {
    process.off('SIGINT', onSignal).off('SIGTERM', onSignal);
    restorePolicy();
  }
  const left = missingPackages();
  say(left.length === 0 ? 'installed' : `not installed: ${left.join(' ')}`);
}

function findObstacle() {
  if (command('apt-get', ['--version']).status !== 0) return 'there is no apt-get here';
  if (process.getuid() !== 0) return 'this is not root';
  const other = otherMailServer();
  return other === undefined
    ? undefined
    : `${other} is the mail server of this machine, and Postfix would replace it`;
}

function install(packages, say) {
  if (packages.includes('postfix')) {
    // "Local only" gives Postfix a main.cf, which its tools want, and no way out of the machine.
    const answers =
      'postfix postfix/main_mailer_type select Local only\npostfix postfix/mailname string localhost\n';
    command('debconf-set-selections', [], { input: answers });
  }
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=2'];
  const keep = ['-o', 'Dpkg::Options::=--force-confdef', '-o', 'Dpkg::Options::=--force-confold'];
  const steps = [
    ['update', ...options],
    ['install', ...options, ...keep, '-y', '--no-install-recommends', '--no-remove', ...packages],
  ];
  for (const step of steps) {
    const result = command('apt-get', step);
    if (result.status === 0) continue;
    const lines = `${result.stdout}\n${result.stderr}`.split('\n');
    say(
      `apt-get ${step[0]} failed: ${lines.find((line) => line.startsWith('E:')) ?? `status ${result.status}`}`,
    );
  }
}

function command(name, args, options = {}) {
  // policy-rc.d and debconf are asked by programs of the package manager, which inherit these.
  const env = {
    ...process.env,
    DEBIAN_FRONTEND: 'noninteractive',
    DEBCONF_NONINTERACTIVE_SEEN: 'true',
    LC_ALL: 'C',
  };
  const result = spawnSync(name, args, {
    encoding: 'utf8',
    env,
    timeout: INSTALL_LIMIT_MS,
    maxBuffer: 64 * 1024 * 1024,
    ...options,
  });
  return { status: result.status, stdout: result.stdout ?? '', stderr: result.stderr ?? '' };
}

/**
 * Puts a policy in place by which Debian's packages start no service; returns what puts the former one back.
 * A policy of ours that a killed run left is taken for ours, not for the former one.
 */
function forbidServices(policyFile) {
  const saved = `${policyFile}.before-undisclosed`;
  const isOurs = existsSync(policyFile) && readFileSync(policyFile, 'utf8').includes(POLICY_MARK);
  if (existsSync(policyFile) && !isOurs) renameSync(policyFile, saved);
  writeFileSync(policyFile, `#!/bin/sh\n${POLICY_MARK}\nexit 101\n`);
  chmodSync(policyFile, 0o755);
  return () => {
    if (existsSync(saved)) renameSync(saved, policyFile);
    else rmSync(policyFile, { force: true });
  };
}
