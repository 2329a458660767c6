/** A certificate and its key, from the files that the configuration names. Read when a gate starts. */

import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { Fault } from '../base/errors.ts';

/** Paths of PEM files. */
export interface CertificateFiles {
  /** With the chain behind it, as mail servers and certbot keep it. */
  readonly certificate: string;
  readonly key: string;
}

async function readPem(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const { code } = cause as { code?: string };
    throw new Fault('gate.certificate-unreadable', `the file cannot be read (${code})`, {
      where: path,
      remedy: 'the user of `serve` has to be able to read it',
      cause,
    });
  }
}

/** @throws Fault `gate.certificate-unreadable`, `gate.bad-certificate`. */
export async function readCertificate(
  files: CertificateFiles,
): Promise<{ readonly cert: string; readonly key: string }> {
  const { certificate, key } = files;
  const pem = { cert: await readPem(certificate), key: await readPem(key) };
  try {
    createSecureContext(pem);
  } catch (cause) {
    throw new Fault('gate.bad-certificate', 'these are no certificate and its key', {
      where: `${certificate}, ${key}`,
      remedy: 'give both as PEM, the key without a passphrase and belonging to the certificate',
      cause,
    });
  }
  return pem;
}
