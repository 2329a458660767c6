/** Debian's Dovecot as an instance of its own: IMAP without TLS on 127.0.0.1 over Maildirs that somebody else fills. */

import { writeFileSync } from 'node:fs';
import { freePort, ownDaemon, programPath, runProgram } from './programs.ts';

export const IMAP_PASSWORD = 'of-the-test-only';

export interface Dovecot {
  readonly port: number;
  /** Its log so far. */
  log(): string;
  close(): Promise<void>;
}

export interface DovecotOptions {
  /** The user NAME has the Maildir NAME in this folder. */
  readonly maildirs: string;
  readonly uid: number;
}

/** What the syntax of 2.4 writes in another way than 2.3 (Debian 12) did. */
function storage(is24: boolean, { maildirs, uid }: DovecotOptions): readonly string[] {
  if (is24)
    return [
      'protocols {',
      '  imap = yes',
      '}',
      'auth_allow_cleartext = yes',
      'mail_driver = maildir',
      `mail_path = ${maildirs}/%{user}`,
      'passdb static {',
      `  password = ${IMAP_PASSWORD}`,
      '}',
      'userdb static {',
      '  fields {',
      `    uid = ${uid}`,
      `    gid = ${uid}`,
      `    home = ${maildirs}/%{user}`,
      '  }',
      '}',
    ];
  return [
    'protocols = imap',
    'disable_plaintext_auth = no',
    `mail_location = maildir:${maildirs}/%u`,
    'passdb {',
    '  driver = static',
    `  args = password=${IMAP_PASSWORD}`,
    '}',
    'userdb {',
    '  driver = static',
    `  args = uid=${uid} gid=${uid} home=${maildirs}/%u`,
    '}',
  ];
}

/** Starts it; `close` stops it and removes its folder, not the Maildirs. */
export async function startDovecot(options: DovecotOptions): Promise<Dovecot> {
  const daemon = ownDaemon(
    'dovecot',
    { config: 'dovecot.conf', pid: 'run/master.pid', log: 'dovecot.log' },
    [],
  );
  const { folder } = daemon;
  const is24 = !/^2\.3\./.test(runProgram(programPath('dovecot'), ['--version']));
  const port = await freePort();
  const lines = [
    ...(is24 ? ['dovecot_config_version = 2.4.0', 'dovecot_storage_version = 2.4.0'] : []),
    `base_dir = ${folder}/run`,
    `state_dir = ${folder}/state`,
    `log_path = ${folder}/dovecot.log`,
    'listen = 127.0.0.1',
    'ssl = no',
    ...storage(is24, options),
    'namespace inbox {',
    '  inbox = yes',
    '}',
    'service imap-login {',
    '  inet_listener imap {',
    `    port = ${port}`,
    '  }',
    '  inet_listener imaps {',
    '    port = 0',
    '  }',
    // One process for all logins: 500 of them otherwise start 500 processes.
    ...(is24 ? ['  restart_request_count = unlimited'] : ['  service_count = 0']),
    '}',
    '',
  ];
  writeFileSync(daemon.config, lines.join('\n'));
  await daemon.start();
  return { port, log: daemon.log, close: daemon.close };
}
