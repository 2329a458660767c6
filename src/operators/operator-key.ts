/** An operator's Ed25519 key pair, and what it signs: requests and approval documents. */

import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { Fault } from '../base/errors.ts';

/** The private half as it stands in the operator's own file. */
export interface OperatorKeyFile {
  readonly operator: string;
  /** PKCS #8, base64. */
  readonly privateKey: string;
}

export interface OperatorKey {
  readonly operator: string;
  readonly privateKey: KeyObject;
  /** SubjectPublicKeyInfo. */
  readonly publicKey: Buffer;
}

/** 2 to 64 of a-z, 0-9, dot, underscore and hyphen: safe in files, URLs and headers. */
export function checkOperatorId(id: string): string {
  if (!/^[a-z0-9][a-z0-9._-]{1,63}$/.test(id))
    throw new Fault('operator.bad-name', 'an operator’s name is 2 to 64 of a-z 0-9 . _ -', {
      remedy: 'choose a name such as anna.lee',
    });
  return id;
}

export function newOperatorKey(operator: string): OperatorKeyFile {
  const { privateKey } = generateKeyPairSync('ed25519');
  const der = privateKey.export({ type: 'pkcs8', format: 'der' });
  return { operator: checkOperatorId(operator), privateKey: der.toString('base64') };
}

/** @throws Fault `operator.bad-key`. */
export function operatorKeyOf(file: OperatorKeyFile): OperatorKey {
  try {
    const privateKey = createPrivateKey({
      key: Buffer.from(file.privateKey, 'base64'),
      type: 'pkcs8',
      format: 'der',
    });
    const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'der' });
    return { operator: checkOperatorId(file.operator), privateKey, publicKey };
  } catch (cause) {
    throw new Fault('operator.bad-key', 'this is no operator’s key file', { cause });
  }
}

export function signAs(key: OperatorKey, text: string): Buffer {
  return sign(null, Buffer.from(text, 'utf8'), key.privateKey);
}

/** Whether the holder of a public key (SubjectPublicKeyInfo) signed this text. */
export function signedBy(publicKey: Uint8Array, text: string, signature: Uint8Array): boolean {
  try {
    const key = createPublicKey({ key: Buffer.from(publicKey), type: 'spki', format: 'der' });
    return (
      key.asymmetricKeyType === 'ed25519' &&
      verify(null, Buffer.from(text, 'utf8'), key, Buffer.from(signature))
    );
  } catch {
    return false;
  }
}
