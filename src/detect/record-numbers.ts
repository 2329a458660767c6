/**
 * Numbers that belong to one person, known by their check digits: machine-readable lines of passports and identity cards, payment
 * cards, bank accounts, national identity numbers; and telephone numbers, which have none. Linear in the text.
 */

import { createHash } from 'node:crypto';

export interface RecordNumbers {
  readonly machineReadable: ReadonlySet<string>;
  readonly cards: ReadonlySet<string>;
  readonly accounts: ReadonlySet<string>;
  readonly identities: ReadonlySet<string>;
  readonly telephones: ReadonlySet<string>;
}

export interface GatheredNumbers {
  readonly machineReadable: Set<string>;
  readonly cards: Set<string>;
  readonly accounts: Set<string>;
  readonly identities: Set<string>;
  readonly telephones: Set<string>;
}

export function noNumbers(): GatheredNumbers {
  return {
    machineReadable: new Set(),
    cards: new Set(),
    accounts: new Set(),
    identities: new Set(),
    telephones: new Set(),
  };
}

/** Beyond this many of a kind the exact number says nothing more. */
const NUMBERS_MAX = 10_000;

/** Adds what is in `text`; numbers are kept as they stand without spaces. */
export function gatherNumbers(text: string, into: GatheredNumbers): void {
  if (text.includes('<<')) addMachineReadable(text, into.machineReadable);
  for (const [number] of text.matchAll(CARD)) addIf(into.cards, digitsOf(number), isCard);
  for (const [number] of text.matchAll(IDENTITY)) addIf(into.identities, number, isIdentity);
  // The groups of an account number look like a telephone number.
  const others = text.replace(ACCOUNT, (run) => (addAccount(run, into.accounts) ? ' ' : run));
  for (const [number] of others.matchAll(TELEPHONE)) {
    addIf(into.telephones, digitsOf(number), isTelephone);
  }
}

function addIf(into: Set<string>, number: string, isOne: (number: string) => boolean): void {
  if (into.size < NUMBERS_MAX && isOne(number)) into.add(number);
}

function digitsOf(text: string): string {
  return text.replace(/\D/g, '');
}

/** ISO/IEC 7812: 13 to 19 digits, in groups of four or as American Express and Diners write them, not part of something longer. */
const CARD =
  /(?<![\w/=&%+-]|\d\.)(?:\d{4}([ -])\d{4}\1\d{4}\1\d{1,7}|\d{4}([ -])\d{6}\2\d{4,5}|\d{13,19})(?![\w/=&%+-]|\.\d)/g;
/** Visa, Mastercard, American Express, Discover, Diners, JCB, UnionPay by their first digits and lengths. */
const ISSUER =
  /^(?:4\d{12}(?:\d{3})?|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|6(?:011|5\d\d|4[4-9]\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17})$/;

function isCard(digits: string): boolean {
  // The same digit over and over is an example.
  if (!ISSUER.test(digits) || /^(\d)\1+$/.test(digits.slice(1, -1))) return false;
  let sum = 0;
  for (let index = 0; index < digits.length; index++) {
    const digit = Number(digits[digits.length - 1 - index]);
    sum += index % 2 === 0 ? digit : digit > 4 ? digit * 2 - 9 : digit * 2;
  }
  return sum % 10 === 0;
}

/** ISO 13616, in one piece or in groups of four. */
const ACCOUNT =
  /(?<![A-Z0-9])[A-Z]{2}\d{2}(?:[ \u00a0-]?[A-Z0-9]{4}){2,7}(?:[ \u00a0-]?[A-Z0-9]{1,3})?(?![A-Z0-9])/g;
/** Lengths by country (SWIFT IBAN registry); a longer run is the number and the word behind it. */
const ACCOUNT_LENGTHS: Readonly<Record<string, number>> = Object.fromEntries(
  'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20'
    .split(' ')
    .map((entry) => [entry.slice(0, 2), Number(entry.slice(2))]),
);

function addAccount(run: string, into: Set<string>): boolean {
  const bare = run.replace(/[ \u00a0-]/g, '');
  const number = bare.slice(0, ACCOUNT_LENGTHS[bare.slice(0, 2)] ?? 0);
  addIf(into, number, isAccount);
  return into.has(number);
}

function isAccount(number: string): boolean {
  if (number.length < 15 || number.length !== ACCOUNT_LENGTHS[number.slice(0, 2)]) return false;
  let remainder = 0;
  for (const character of number.slice(4) + number.slice(0, 4)) {
    const value = Number.parseInt(character, 36);
    remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97;
  }
  return remainder === 1;
}

/** Italy's codice fiscale, Spain's DNI and NIE, France's NIR, Poland's PESEL, the American SSN as it is written. */
const IDENTITY =
  /(?<![\w/=&%+-]|\d\.)(?:[A-Z]{6}\d\d[A-EHLMPRST]\d\d[A-Z]\d{3}[A-Z]|[XYZ]?\d{7,8}-?[A-Z]|[12] ?\d\d ?[01]\d ?\d\d ?\d{3} ?\d{3} ?\d\d|\d{11}|(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4})(?![\w/=&%+-])/g;

function isIdentity(written: string): boolean {
  const number = written.replace(/[ -]/g, '');
  if (/^[A-Z]{6}/.test(number)) return isFiscalCode(number);
  if (/[A-Z]$/.test(number)) return isSpanish(number);
  if (number.length === 15)
    return Number(BigInt(number.slice(0, 13)) % 97n) === 97 - Number(number.slice(13));
  if (number.length === 11) return isPesel(number);
  return written.length === 11 && written[3] === '-';
}

function isSpanish(number: string): boolean {
  const digits = number.slice(0, -1).replace(/^[XYZ]/, (letter) => String('XYZ'.indexOf(letter)));
  if (digits.length !== 8) return false;
  return 'TRWAGMYFPDXBNJZSQVHLCKE'[Number(digits) % 23] === number.slice(-1);
}

/** Values of the characters at odd places, 0 to 9 and A to Z alike. */
const ODD = [
  1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23,
];

function isFiscalCode(code: string): boolean {
  let sum = 0;
  for (let index = 0; index < 15; index++) {
    const value = Number.parseInt(code[index] ?? '', 36);
    const place = value > 9 ? value - 10 : value;
    sum += index % 2 === 0 ? (ODD[place] ?? 0) : place;
  }
  return String.fromCharCode(65 + (sum % 26)) === code[15];
}

function isPesel(number: string): boolean {
  const month = Number(number.slice(2, 4)) % 20;
  const day = Number(number.slice(4, 6));
  if (month < 1 || month > 12 || day < 1 || day > 31) return false;
  let sum = 0;
  for (let index = 0; index < 10; index++)
    sum += Number(number[index]) * ([1, 3, 7, 9][index % 4] ?? 0);
  return (10 - (sum % 10)) % 10 === Number(number[10]);
}

/** E.164 with its plus sign, or as North America and many others write it. */
const TELEPHONE =
  /(?<![\w/=&%+-]|\d\.)(?:\+[1-9][\d ().\u00a0-]{6,18}\d|\(\d{3}\) ?\d{3}-\d{4}|\d{3}[-.]\d{3}[-.]\d{4}|0\d{1,4}[ /-]\d{3,4}[ -]?\d{3,5})(?![\w@])/g;

function isTelephone(digits: string): boolean {
  return digits.length >= 8 && digits.length <= 15;
}

/** ICAO 9303: lines of 44 (passports), 36 (visas, older cards) or 30 characters (cards). */
const MRZ_LINE = /(?<![A-Z0-9<])[A-Z0-9<]{30}(?:[A-Z0-9<]{6}(?:[A-Z0-9<]{8})?)?(?![A-Z0-9<])/g;

/** A line counts by its own check digits: number, birth and expiry of passports and visas; number, or the dates, of cards. */
function addMachineReadable(text: string, into: Set<string>): void {
  for (const [line] of text.matchAll(MRZ_LINE)) {
    if (into.size >= NUMBERS_MAX || !isMachineReadable(line)) continue;
    into.add(createHash('sha256').update(line).digest('base64'));
  }
}

function isMachineReadable(line: string): boolean {
  const checked = (from: number, to: number): boolean =>
    checkDigit(line.slice(from, to)) === line[to];
  if (line.length > 30) {
    return (
      /^\d{6}\d[MFX<]\d{6}\d/.test(line.slice(13)) &&
      checked(0, 9) &&
      checked(13, 19) &&
      checked(21, 27)
    );
  }
  return /^\d{7}[MFX<]\d{7}[A-Z<]{3}/.test(line) && checked(0, 6) && checked(8, 14);
}

function checkDigit(field: string): string {
  let sum = 0;
  for (let index = 0; index < field.length; index++) {
    const character = field[index] ?? '<';
    const value = character === '<' ? 0 : Number.parseInt(character, 36);
    sum += value * ([7, 3, 1][index % 3] ?? 0);
  }
  return String(sum % 10);
}
