import { mkdtemp, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { inject } from 'vitest'
import { runCommand } from '../support/run-command.js'

export interface Certificate {
  keyFile: string
  certFile: string
  cert: string
}

/** A certificate for the loopback interface that nobody else trusts; undefined without the openssl program. */
export async function makeCertificate(): Promise<Certificate | undefined> {
  const folder = await mkdtemp(join(inject('runDirectory'), 'certificate-'))
  const [keyFile, certFile] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost']
  const made = await runCommand('openssl', [
    ...args,
    ...['-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', keyFile, '-out', certFile],
  ]).catch(() => undefined)
  if (made?.code !== 0) return undefined
  return { keyFile, certFile, cert: await readFile(certFile, 'utf8') }
}
