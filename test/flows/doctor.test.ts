/** `undisclosed doctor`, as it is run: every way past the guard is found, and a sound installation has none. */

import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { after, test } from 'node:test';
import { CommandLine } from '../support/command-line.ts';
import { freePort, reasonToSkip } from '../support/interop/programs.ts';

interface Report {
  readonly findings: number;
  readonly remarks: readonly {
    readonly kind: 'finding' | 'note' | 'fine';
    readonly check: string;
    readonly text: string;
    readonly remedy?: string;
  }[];
}

const MILTER = 'inet:127.0.0.1:8891';
const SOUND = `smtpd_milters = ${MILTER}\nnon_smtpd_milters = $smtpd_milters\nmilter_default_action = tempfail\nmilter_protocol = 6\n`;
const commands = new CommandLine();
after(() => commands.close());

async function doctor(...args: string[]): Promise<Report & { readonly status: number | null }> {
  const { status, stdout, stderr } = await commands.run(['doctor', ...args, '--json']);
  assert.notEqual(status, 2, stderr);
  return { status, ...(JSON.parse(stdout) as Report) };
}

function examine(mainCf: string): ReturnType<typeof doctor> {
  return doctor('--milter', MILTER, '--file', commands.file('main.cf', mainCf));
}

const found = ({ remarks }: Report): string[] =>
  remarks.filter(({ kind }) => kind === 'finding').map(({ check }) => check);

test('a sound configuration has no finding, however its socket is written', async () => {
  const spellings = [
    SOUND,
    SOUND.replace('inet:127.0.0.1', 'inet:localhost'),
    SOUND.replace(MILTER, `inet:other.example:1, { ${MILTER}, default_action=tempfail }`),
    SOUND.replace(MILTER, `$guard\nguard =\n   ${MILTER}`),
    SOUND.replace('tempfail', 'shutdown'),
    SOUND.replace(/milter_default_action.*\n/, ''),
  ];
  for (const mainCf of spellings) {
    const report = await examine(mainCf);
    assert.deepEqual(found(report), [], mainCf);
    assert.equal(report.status, 0);
  }
});

test('each way around the milter is a finding by name, with a remedy', async () => {
  const off = commands.file('off.cidr', '# partners\n192.0.2.0/24 DISABLE\n');
  const cases: readonly (readonly [string, string])[] = [
    ['smtpd_milters', SOUND.replace(`smtpd_milters = ${MILTER}`, 'smtpd_milters =')],
    ['smtpd_milters', SOUND.replace('8891', '8892')],
    ['non_smtpd_milters', SOUND.replace(/^non_smtpd.*\n/m, '')],
    ['smtpd_milter_maps', `${SOUND}smtpd_milter_maps = cidr:${off}\n`],
    ['smtpd_milter_maps', `${SOUND}smtpd_milter_maps = inline:{{192.0.2.1 = DISABLE}}\n`],
    ['smtpd_milter_maps', `${SOUND}smtpd_milter_maps = hash:/does/not/exist\n`],
    ['milter_default_action', SOUND.replace('tempfail', 'accept')],
    ['milter_default_action', SOUND.replace('tempfail', 'quarantine')],
    [
      'milter_default_action',
      SOUND.replace(`= ${MILTER}`, `= { ${MILTER}, default_action=accept }`).replace(
        '$smtpd_milters',
        MILTER,
      ),
    ],
    ['milter_protocol', SOUND.replace('protocol = 6', 'protocol = 2')],
    ['milter_mail_macros', `${SOUND}milter_mail_macros = i {mail_addr}\n`],
    ['receive_override_options', `${SOUND}receive_override_options = no_milters\n`],
  ];
  for (const [check, mainCf] of cases) {
    const report = await examine(mainCf);
    const names = found(report);
    assert.ok(names.includes(check), `${check}: ${JSON.stringify(report)}`);
    assert.deepEqual(
      [...new Set(names)].filter((name) => !/milters$/.test(name) && name !== check),
      [],
    );
    assert.equal(report.status, 1);
    for (const { kind, remedy } of report.remarks)
      if (kind === 'finding') assert.ok(remedy !== undefined && remedy !== '');
  }
});

test('what the usual action is without the setting is said by version', async () => {
  const report = await examine(SOUND.replace(/milter_default_action.*\n/, ''));
  const note = report.remarks.find(({ check }) => check === 'milter_default_action');
  assert.equal(note?.kind, 'note');
  assert.match(note?.text ?? '', /tempfail up to Postfix 3\.10, shutdown from 3\.11/);
});

test('postconf is asked, and services that go without the milter are found unless named', {
  skip: reasonToSkip(['postfix']),
}, async () => {
  const folder = path.join(commands.folder, 'postfix');
  mkdirSync(folder);
  writeFileSync(path.join(folder, 'main.cf'), `compatibility_level = 3.6\n${SOUND}`);
  const master =
    'smtp inet n - n - - smtpd\n' +
    '127.0.0.1:10026 inet n - n - - smtpd\n  -o smtpd_milters=\n' +
    'submission inet n - n - - smtpd\n  -o milter_default_action=accept -o receive_override_options=no_milters\n';
  writeFileSync(path.join(folder, 'master.cf'), master);
  const args = ['--milter', MILTER, '--config', folder];
  const report = await doctor(...args);
  assert.deepEqual(found(report).sort(), [
    'milter_default_action',
    'receive_override_options',
    'smtpd_milters',
  ]);
  const named = await doctor(...args, '--allow', '127.0.0.1:10026', '--allow', 'submission');
  assert.deepEqual(found(named), []);
  assert.equal(named.remarks.filter(({ kind }) => kind === 'note').length, 3);
});

/** A package that behaves as the one it stands for, or worse. */
function project(name: string, setsBack: boolean, ignores: boolean): string {
  const place = `${name}/node_modules/@sendgrid/mail`;
  commands.file(`${name}/package.json`, '{}');
  commands.file(
    `${place}/package.json`,
    '{"name":"@sendgrid/mail","version":"9.9.9","main":"i.js"}',
  );
  commands.file(
    `${place}/i.js`,
    `class MailService {
      client = { defaultRequest: { baseUrl: 'https://api.sendgrid.com/' }, setDefaultRequest(k, v) { ${ignores ? '' : 'this.defaultRequest[k] = v;'} } };
      setApiKey() { ${setsBack ? "this.client.defaultRequest.baseUrl = 'https://api.sendgrid.com/';" : ''} }
    }
    console.log('a package that talks');
    module.exports = { MailService };`,
  );
  return path.join(commands.folder, name);
}

test("the project's own package is asked which order of setApiKey and base URL keeps it", async () => {
  const usual = await doctor('sdk', project('usual', true, false));
  assert.deepEqual(
    usual.remarks.map(({ kind }) => kind),
    ['fine', 'note'],
  );
  assert.match(
    usual.remarks[1]?.text ?? '',
    /9\.9\.9: the base URL, then setApiKey: it is set back/,
  );
  assert.equal(usual.status, 0);
  const good = await doctor('sdk', project('good', false, false));
  assert.deepEqual(
    good.remarks.map(({ kind }) => kind),
    ['fine', 'fine'],
  );
  const bad = await doctor('sdk', project('bad', false, true));
  assert.deepEqual(found(bad), ['sendgrid-base-url']);
  assert.equal(bad.status, 1);
});

test('the line to copy says of a running program whether it sends to the guard', async () => {
  const said = await commands.run(['doctor', 'sdk', '--url', 'http://127.0.0.1:8025', '--json']);
  assert.equal(said.status, 0);
  const { line } = JSON.parse(said.stdout) as { line: string };
  const told: string[] = [];
  const tell = new Function('sgMail', 'console', line);
  for (const baseUrl of ['http://127.0.0.1:8025', 'https://api.sendgrid.com/'])
    tell(
      { client: { defaultRequest: { baseUrl } } },
      { log: (...words: string[]) => void told.push(words.join(' ')) },
    );
  assert.deepEqual(told, [
    'sends to http://127.0.0.1:8025 (the guard)',
    'sends to https://api.sendgrid.com/ (NOT the guard)',
  ]);
});

test('a way out that is open is a finding, a closed one is not', async () => {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const open = typeof address === 'object' && address !== null ? address.port : 0;
  const closed = await freePort();
  const file = commands.file('main.cf', SOUND);
  const places = [open, closed].flatMap((port) => ['--egress-to', `127.0.0.1:${port}`]);
  const report = await doctor('--milter', MILTER, '--file', file, ...places);
  server.close();
  const egress = report.remarks.filter(({ check }) => check === 'egress');
  assert.deepEqual(
    egress.map(({ kind }) => kind),
    ['finding', 'fine'],
  );
  assert.equal(report.status, 1);
});

test('what it cannot look at ends with 2 and a sentence with a remedy', async () => {
  const file = commands.file('main.cf', SOUND);
  const wrong: readonly (readonly string[])[] = [
    ['--milter', MILTER, '--file', '/does/not/exist'],
    ['--milter', MILTER, '--config', '/does/not/exist'],
    ['--milter', 'nonsense', '--file', file],
    ['--file', file],
    ['sdk'],
    ['sdk', '/does/not/exist'],
    ['sdk', commands.folder],
    ['sdk', '--url', 'nonsense'],
    ['other'],
    ['--milter', MILTER, '--file', file, '--egress-to', 'nonsense'],
  ];
  for (const args of wrong) {
    const { status, stderr } = await commands.run(['doctor', ...args]);
    assert.equal(status, 2, args.join(' '));
    assert.match(stderr, /^undisclosed: .+\n$/, args.join(' '));
  }
});
