/**
 * Debian's Postfix as an instance of its own: configuration, queue, data, log and Maildirs below one temporary folder, on
 * 127.0.0.1. Invariant: nothing of the machine's own Postfix is read or changed, and none needs to be configured.
 */

import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { domainToASCII, domainToUnicode } from 'node:url';
import { freePort, ownDaemon, runProgram } from './programs.ts';

/** Owner of the Maildirs; nobody's user id, beyond those that Debian gives out. */
export const MAIL_UID = 61_907;

export interface Mailbox {
  readonly address: string;
  /** Folder below `maildirs`, and the user of the IMAP server. */
  readonly folder: string;
}

export interface PostfixOptions {
  readonly mailboxes: readonly Mailbox[];
  /** The port of 127.0.0.1 that takes all other mail; without it there is no way out. */
  readonly relayPort?: number;
}

export interface Postfix {
  readonly port: number;
  /** The same server, to which SMTPUTF8 is unknown. */
  readonly asciiPort: number;
  readonly maildirs: string;
  /** Its mail log so far. */
  log(): string;
  /** The raw messages of a mailbox, as Maildir keeps them: lines end in LF. */
  messages(folder: string): Buffer[];
  close(): Promise<void>;
}

const SERVICES = [
  'cleanup   unix  n - n - 0 cleanup',
  'qmgr      unix  n - n 300 1 qmgr',
  'rewrite   unix  - - n - - trivial-rewrite',
  'bounce    unix  - - n - 0 bounce',
  'defer     unix  - - n - 0 bounce',
  'trace     unix  - - n - 0 bounce',
  'verify    unix  - - n - 1 verify',
  'flush     unix  n - n 1000? 0 flush',
  'proxymap  unix  - - n - - proxymap',
  'smtp      unix  - - n - - smtp',
  'showq     unix  n - n - - showq',
  'error     unix  - - n - - error',
  'retry     unix  - - n - - error',
  'discard   unix  - - n - - discard',
  'virtual   unix  - n n - - virtual',
  'anvil     unix  - - n - 1 anvil',
  'scache    unix  - - n - 1 scache',
  'postlog   unix-dgram n - n - 1 postlogd',
];

/** Each domain as A-labels and as U-labels: an address may come with either. texthash wants its keys in lower case. */
function spellings({ address }: Mailbox): string[] {
  const at = address.lastIndexOf('@');
  const domain = address.slice(at + 1).toLowerCase();
  const local = address.slice(0, at).toLowerCase();
  return [...new Set([domain, domainToASCII(domain), domainToUnicode(domain)])].map(
    (spelling) => `${local}@${spelling}`,
  );
}

function mainCf(folder: string, { relayPort }: PostfixOptions): string {
  return [
    'compatibility_level = 3.6',
    `queue_directory = ${folder}/queue`,
    `data_directory = ${folder}/data`,
    `maillog_file = ${folder}/mail.log`,
    `maillog_file_prefixes = ${folder}`,
    'myhostname = mx.interop.test',
    'mydestination =',
    'mynetworks = 127.0.0.0/8',
    'inet_interfaces = 127.0.0.1',
    'inet_protocols = ipv4',
    'smtpd_peername_lookup = no',
    'smtp_dns_support_level = disabled',
    'smtp_host_lookup = native',
    'local_recipient_maps =',
    'alias_maps =',
    'alias_database =',
    'smtputf8_enable = yes',
    ...(relayPort === undefined
      ? ['default_transport = error:5.4.4 this server has no way out']
      : [`relayhost = [127.0.0.1]:${relayPort}`]),
    'smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination',
    `virtual_mailbox_domains = texthash:${folder}/domains`,
    `virtual_mailbox_maps = texthash:${folder}/mailboxes`,
    `virtual_mailbox_base = ${folder}/maildirs`,
    `virtual_uid_maps = static:${MAIL_UID}`,
    `virtual_gid_maps = static:${MAIL_UID}`,
    'virtual_mailbox_limit = 0',
    'notify_classes =',
    '',
  ].join('\n');
}

/** Starts it; `close` stops it and removes its folder. */
export async function startPostfix(options: PostfixOptions): Promise<Postfix> {
  const daemon = ownDaemon(
    'postfix',
    { config: 'etc', pid: 'queue/pid/master.pid', log: 'mail.log' },
    ['start'],
  );
  const { folder, config } = daemon;
  const maildirs = join(folder, 'maildirs');
  for (const path of [config, join(folder, 'queue'), join(folder, 'data'), maildirs])
    mkdirSync(path, { mode: 0o755 });
  runProgram('/bin/chown', ['postfix', join(folder, 'data')]);
  chownSync(maildirs, MAIL_UID, MAIL_UID);
  const [port, asciiPort] = [await freePort(), await freePort()];
  const doors = [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    `127.0.0.1:${asciiPort} inet n - n - - smtpd -o smtputf8_enable=no`,
  ];
  const entries = options.mailboxes.flatMap((mailbox) =>
    spellings(mailbox).map((address) => ({ address, folder: mailbox.folder })),
  );
  const domains = new Set(
    entries.map(({ address }) => address.slice(address.lastIndexOf('@') + 1)),
  );
  writeFileSync(join(folder, 'domains'), [...domains].map((domain) => `${domain} x\n`).join(''));
  writeFileSync(
    join(folder, 'mailboxes'),
    // The slash at the end says Maildir, virtual(8).
    entries.map((entry) => `${entry.address} ${entry.folder}/\n`).join(''),
  );
  writeFileSync(join(config, 'main.cf'), mainCf(folder, options));
  writeFileSync(join(config, 'master.cf'), [...doors, ...SERVICES, ''].join('\n'));
  await daemon.start();
  const messages = (mailbox: string): Buffer[] => {
    const path = join(maildirs, mailbox, 'new');
    return existsSync(path) ? readdirSync(path).map((name) => readFileSync(join(path, name))) : [];
  };
  return { port, asciiPort, maildirs, messages, log: daemon.log, close: daemon.close };
}
