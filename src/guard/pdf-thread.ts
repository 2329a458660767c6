/** The thread that reads PDF files for one that waits: each message is a list of files, each answer a list of readings. */

import { type MessagePort, workerData } from 'node:worker_threads';
import { readPdfs } from './attachments.ts';

export interface PdfThreadData {
  readonly port: MessagePort;
  /** Counted up when an answer can be taken from the port. */
  readonly answered: Int32Array;
}

const { port, answered } = workerData as PdfThreadData;
port.on('message', (pdfs: readonly Uint8Array[]) => {
  void readPdfs(pdfs).then((readings) => {
    port.postMessage(readings);
    Atomics.add(answered, 0, 1);
    Atomics.notify(answered, 0);
  });
});
