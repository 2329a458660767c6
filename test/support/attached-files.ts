/** Builds the attachments that tests need: archives, office documents, TNEF, PDF, CMS and OpenPGP, made here byte by byte. */

import { strToU8, type Zippable, zipSync } from 'fflate';

/** A ZIP archive of texts or bytes, by name. */
export function zipOf(files: Readonly<Record<string, string | Uint8Array>>): Buffer {
  const entries: Zippable = {};
  for (const [name, content] of Object.entries(files)) {
    entries[name] = typeof content === 'string' ? strToU8(content) : content;
  }
  return Buffer.from(zipSync(entries));
}

const TYPES =
  '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>';

/** The places of a workbook where an address can stand, most of them hidden. */
export interface Workbook {
  readonly cells?: readonly string[];
  readonly hiddenSheet?: string;
  readonly hiddenRow?: string;
  readonly hiddenColumn?: string;
  readonly definedName?: string;
  readonly comment?: string;
  readonly author?: string;
  readonly link?: string;
}

export function workbook(places: Workbook): Buffer {
  const { cells = [], hiddenSheet = '', hiddenRow = '', hiddenColumn = '' } = places;
  const shared = cells.map(
    (cell) =>
      `<si><r><rPr><b/></rPr><t>${cell.slice(0, 3)}</t></r><r><t>${cell.slice(3)}</t></r></si>`,
  );
  const inline = (text: string): string => `<c t="inlineStr"><is><t>${text}</t></is></c>`;
  return zipOf({
    '[Content_Types].xml': TYPES,
    'xl/workbook.xml': `<workbook><sheets><sheet name="A"/><sheet name="B" state="veryHidden"/></sheets><definedNames><definedName name="x" hidden="1">"${places.definedName ?? ''}"</definedName></definedNames></workbook>`,
    'xl/sharedStrings.xml': `<sst>${shared.join('')}</sst>`,
    'xl/worksheets/sheet1.xml': `<worksheet><cols><col min="2" max="2" hidden="1"/></cols><sheetData><row r="1"><c t="s"><v>0</v></c>${inline(hiddenColumn)}</row><row r="2" hidden="1">${inline(hiddenRow)}</row></sheetData></worksheet>`,
    'xl/worksheets/sheet2.xml': `<worksheet><sheetData><row>${inline(hiddenSheet)}</row></sheetData></worksheet>`,
    'xl/comments1.xml': `<comments><commentList><comment><text><t>${places.comment ?? ''}</t></text></comment></commentList></comments>`,
    'xl/worksheets/_rels/sheet1.xml.rels': `<Relationships><Relationship Target="mailto:${places.link ?? ''}"/></Relationships>`,
    'docProps/core.xml': `<cp:coreProperties><dc:creator>${places.author ?? ''}</dc:creator></cp:coreProperties>`,
  });
}

/** A text document whose words are cut into runs, with a deleted passage and embedded files. */
export function textDocument(
  text: string,
  more: { readonly deleted?: string; readonly embedded?: Uint8Array } = {},
): Buffer {
  const runs = [...text].map(
    (letter) => `<w:r><w:rPr><w:lang w:val="en"/></w:rPr><w:t>${letter}</w:t></w:r>`,
  );
  const files: Record<string, string | Uint8Array> = {
    '[Content_Types].xml': TYPES,
    'word/document.xml': `<w:document><w:body><w:p>${runs.join('<w:proofErr w:type="spellStart"/>')}</w:p><w:p><w:del><w:r><w:delText>${more.deleted ?? ''}</w:delText></w:r></w:del></w:p></w:body></w:document>`,
    'word/media/image1.png': Buffer.from('89504e47', 'hex'),
  };
  if (more.embedded !== undefined) files['word/embeddings/sheet1.xlsx'] = more.embedded;
  return zipOf(files);
}

/** The archive with its first file marked as encrypted. */
export function encryptedZip(archive: Buffer): Buffer {
  const bytes = Buffer.from(archive);
  bytes.writeUInt16LE(bytes.readUInt16LE(6) | 1, 6);
  const directory = bytes.indexOf('PK\x01\x02', 0, 'latin1');
  bytes.writeUInt16LE(bytes.readUInt16LE(directory + 8) | 1, directory + 8);
  return bytes;
}

/** What Office writes for a document with a password: an OLE file with an EncryptedPackage stream. */
export function encryptedOffice(): Buffer {
  const bytes = Buffer.alloc(2048);
  bytes.write('d0cf11e0a1b11ae1', 0, 'hex');
  bytes.write('EncryptedPackage', 1024, 'utf16le');
  return bytes;
}

/** winmail.dat with a recipient table, To and Bcc as displayed, a text and a file; `entryId` is a recipient by that alone. */
export function tnef(parts: {
  readonly recipients?: readonly string[];
  readonly entryId?: string;
  readonly displayBcc?: string;
  readonly body?: string;
  readonly html?: string;
  readonly file?: Uint8Array;
}): Buffer {
  const { recipients = [], entryId, displayBcc = '', body = '', html = '', file } = parts;
  const oneOff = Buffer.from(`\0\0Name\0SMTP\0${entryId}\0`, 'utf16le');
  const table = Buffer.concat([
    u32(recipients.length + (entryId === undefined ? 0 : 1)),
    ...(entryId === undefined ? [] : [properties([binary(0x0fff, oneOff)])]),
    ...recipients.map((text) =>
      properties([
        fixed(0x0003, 0x0c15, u32(1)),
        unicode(0x3001, `Name of ${text}`),
        string8(0x3003, text),
      ]),
    ),
  ]);
  const message = properties([
    unicode(0x0e02, displayBcc),
    unicode(0x1000, body),
    binary(0x1013, Buffer.from(html)),
    binary(0x007f, Buffer.from('<7@mail.else.test>\0')),
    named(0x001f, 0x8001, 'x-field', Buffer.from('value\0', 'utf16le')),
    fixed(0x000b, 0x0e1f, u32(1)),
  ]);
  const attributes = [attribute(1, 0x00069004, table), attribute(1, 0x00069003, message)];
  if (file !== undefined) attributes.push(attribute(2, 0x0006800f, Buffer.from(file)));
  return Buffer.concat([u32(0x223e9f78), u16(1), ...attributes]);
}

function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function attribute(level: number, id: number, data: Buffer): Buffer {
  const sum = data.reduce((total, byte) => (total + byte) & 0xffff, 0);
  return Buffer.concat([Buffer.from([level]), u32(id), u32(data.length), data, u16(sum)]);
}

function properties(list: readonly Buffer[]): Buffer {
  return Buffer.concat([u32(list.length), ...list]);
}

function fixed(type: number, id: number, value: Buffer): Buffer {
  return Buffer.concat([u16(type), u16(id), value]);
}

function variable(value: Buffer): Buffer {
  return Buffer.concat([
    u32(1),
    u32(value.length),
    value,
    Buffer.alloc((4 - (value.length % 4)) % 4),
  ]);
}

function unicode(id: number, text: string): Buffer {
  return Buffer.concat([u16(0x001f), u16(id), variable(Buffer.from(`${text}\0`, 'utf16le'))]);
}

function string8(id: number, text: string): Buffer {
  return Buffer.concat([u16(0x001e), u16(id), variable(Buffer.from(`${text}\0`, 'latin1'))]);
}

function binary(id: number, value: Buffer): Buffer {
  return Buffer.concat([u16(0x0102), u16(id), variable(value)]);
}

function named(type: number, id: number, name: string, value: Buffer): Buffer {
  const text = Buffer.from(`${name}\0`, 'utf16le');
  const padding = Buffer.alloc((4 - (text.length % 4)) % 4);
  return Buffer.concat([
    u16(type),
    u16(id),
    Buffer.alloc(16),
    u32(1),
    u32(text.length),
    text,
    padding,
    variable(value),
  ]);
}

/** One DER value. */
export function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const inner = Buffer.concat(content);
  const { length } = inner;
  const size = length < 128 ? [length] : [0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from([tag, ...size]), inner]);
}

function oid(hex: string): Buffer {
  return der(0x06, Buffer.from(hex, 'hex'));
}

/** CMS EnvelopedData for readers told apart by the serial numbers of their certificates. */
export function envelopedData(serials: readonly number[]): Buffer {
  const version = der(0x02, Buffer.from([0]));
  const infos = serials.map((serial) => {
    const issuer = der(0x30, der(0x30), der(0x02, Buffer.from([serial])));
    return der(
      0x30,
      version,
      issuer,
      der(0x30, oid('2a864886f70d010101')),
      der(0x04, Buffer.alloc(130, 7)),
    );
  });
  const content = der(0x30, oid('2a864886f70d010701'), der(0x30), der(0x80, Buffer.alloc(200, 9)));
  const data = der(0x30, version, der(0x31, ...infos), content);
  return der(0x30, oid('2a864886f70d010703'), der(0xa0, data));
}

/** CMS SignedData with its content inside. */
export function signedData(content: string): Buffer {
  const inside = der(0x30, oid('2a864886f70d010701'), der(0xa0, der(0x04, Buffer.from(content))));
  const data = der(0x30, der(0x02, Buffer.from([1])), der(0x31), inside, der(0x31));
  return der(0x30, oid('2a864886f70d010702'), der(0xa0, data));
}

/** A PDF of one page with this text, a link and an author; with a password where asked for (content unreadable). */
export function pdf(
  text: string,
  more: { readonly link?: string; readonly author?: string; readonly encrypted?: boolean } = {},
): Buffer {
  // A line for each 60 characters: what runs off the page is not shown.
  const lines = (text.match(/.{1,60}(?: |$)/g) ?? [text]).map((line) => `(${line}) '`);
  const stream = `BT /F1 8 Tf 9 TL 10 180 Td ${lines.join(' ')} ET`;
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    '<< /Type /Pages /Kids [3 0 R] /Count 1 >>',
    '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 200] /Contents 4 0 R /Annots [6 0 R] /Resources << /Font << /F1 5 0 R >> >> >>',
    `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>',
    `<< /Type /Annot /Subtype /Link /Rect [0 0 9 9] /A << /S /URI /URI (${more.link ?? 'https://shop.example/'}) >> >>`,
    `<< /Author (${more.author ?? 'Shop'}) >>`,
    `<< /Filter /Standard /V 2 /R 3 /Length 128 /P -4 /O <${'41'.repeat(32)}> /U <${'42'.repeat(32)}> >>`,
  ];
  let out = '%PDF-1.4\n';
  const places: number[] = [];
  for (const [index, object] of objects.entries()) {
    places.push(out.length);
    out += `${index + 1} 0 obj\n${object}\nendobj\n`;
  }
  const start = out.length;
  const rows = places.map((place) => `${String(place).padStart(10, '0')} 00000 n \n`).join('');
  const encrypt = more.encrypted === true ? ' /Encrypt 8 0 R /ID [<00> <00>]' : '';
  out += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R /Info 7 0 R${encrypt} >>\nstartxref\n${start}\n%%EOF\n`;
  return Buffer.from(out, 'latin1');
}

/** A message from a shop to its one reader with one attachment. */
export function messageWith(
  content: Uint8Array,
  type = 'application/octet-stream',
  name = 'file.bin',
): Buffer {
  const base64 = Buffer.from(content).toString('base64').replace(/.{76}/g, '$&\r\n');
  const lines = [
    'From: Shop <news@shop.example>',
    'To: ann@x.test',
    'Subject: News',
    'MIME-Version: 1.0',
    'Content-Type: multipart/mixed; boundary=b',
    '',
    '--b',
    'Content-Type: text/plain',
    '',
    'Hello',
    '--b',
    `Content-Type: ${type}; name="${name}"`,
    `Content-Disposition: attachment; filename="${name}"`,
    'Content-Transfer-Encoding: base64',
    '',
    base64,
    '--b--',
    '',
  ];
  return Buffer.from(lines.join('\r\n'), 'latin1');
}
