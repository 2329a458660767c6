/** The trace field that SMTP gates put before what they send on (RFC 5321 section 4.4). */

import { newId } from '../base/id.ts';

/** Without the client's address and without `for`: readers see this field. */
export function receivedField(name: string, secure: boolean): Buffer {
  const date = new Date().toUTCString().replace('GMT', '+0000');
  return Buffer.from(
    `Received: by ${name} with ESMTP${secure ? 'S' : ''} id ${newId('m')};\r\n ${date}\r\n`,
  );
}
