/** A certificate and its key, from the files that the configuration names: read when a gate starts, and again when they change. */

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

async function readPair({ certificate, key }: CertificateFiles): Promise<CertificatePem> {
  return { cert: await readPem(certificate), key: await readPem(key) };
}

function checkPair(pem: CertificatePem, { certificate, key }: CertificateFiles): void {
  try {
    createSecureContext(pem);
  } catch (cause) {
    throw new Fault('gate.bad-certificate', 'these are no certificate and its key', {
      where: `${certificate}, ${key}`,
      remedy: 'give both as PEM, the key without a passphrase and belonging to the certificate',
      cause,
    });
  }
}

/** @throws Fault `gate.certificate-unreadable`, `gate.bad-certificate`. */
export async function readCertificate(files: CertificateFiles): Promise<CertificatePem> {
  const pem = await readPair(files);
  checkPair(pem, files);
  return pem;
}

export interface CertificateWatch {
  /** As it was read: what has changed since is seen at the first look. */
  readonly inUse: CertificatePem;
  readonly everyMs: number;
  readonly onChange: (pem: CertificatePem) => void;
  /** Once for each state of the files that cannot be used. */
  readonly onFault: (fault: Fault) => void;
}

/**
 * Reads both files again and again, and gives on what is in them when it is another pair. One that cannot be used is told of and
 * the old one stays in use: a renewal writes one file after the other. The files are read and not their times looked at: certbot's
 * are links that are set to new ones, and what changes before the first look would be missed.
 * @returns what ends the watching.
 */
export function watchCertificate(
  files: CertificateFiles,
  { inUse, everyMs, onChange, onFault }: CertificateWatch,
): () => void {
  let seen = inUse.cert + inUse.key;
  const look = async (): Promise<void> => {
    let now = '';
    try {
      const pem = await readPair(files);
      now = pem.cert + pem.key;
      if (now === seen) return;
      checkPair(pem, files);
      onChange(pem);
    } catch (error) {
      const fault = error as Fault;
      now ||= `${fault}`;
      if (now !== seen) onFault(fault);
    }
    seen = now;
  };
  let timer: NodeJS.Timeout;
  let ended = false;
  const lookLater = (): void => {
    if (!ended) timer = setTimeout(() => void look().then(lookLater), everyMs).unref();
  };
  lookLater();
  return () => {
    ended = true;
    clearTimeout(timer);
  };
}
