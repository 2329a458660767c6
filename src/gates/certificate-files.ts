/** A certificate and its key, from the files that the configuration names: read when a gate starts, and again when they change. */

import { unwatchFile, watchFile } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createSecureContext } from 'node:tls';
import { Fault } from '../base/errors.ts';

/** Paths of PEM files. */
export interface CertificateFiles {
  /** With the chain behind it, as mail servers and certbot keep it. */
  readonly certificate: string;
  readonly key: string;
}

export interface CertificatePem {
  readonly cert: string;
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
export async function readCertificate(files: CertificateFiles): Promise<CertificatePem> {
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

/**
 * Reads both files again whenever one has changed. A pair that cannot be used is told of and the old one stays in use: a renewal
 * writes one file after the other.
 * @returns what ends the watching.
 */
export function watchCertificate(
  files: CertificateFiles,
  { everyMs, onChange, onFault }: CertificateWatch,
): () => void {
  const reread = (): void => {
    readCertificate(files).then(onChange, (error: unknown) => onFault(error as Fault));
  };
  const paths = [files.certificate, files.key];
  // By name and not by inode: certbot's files are links that are set to new ones.
  for (const path of paths) watchFile(path, { interval: everyMs, persistent: false }, reread);
  return () => {
    for (const path of paths) unwatchFile(path, reread);
  };
}

export interface CertificateWatch {
  readonly everyMs: number;
  readonly onChange: (pem: CertificatePem) => void;
  readonly onFault: (fault: Fault) => void;
}
