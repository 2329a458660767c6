export interface Mail {
  readonly port: number;
  readonly key: string;
  readonly from: string;
  readonly recipients: readonly string[];
  /** RFC 5322, lines ended by CRLF. */
  readonly message: string;
}

export declare function sendMail(
  mail: Mail,
): Promise<{ readonly code: number; readonly text: string }>;
