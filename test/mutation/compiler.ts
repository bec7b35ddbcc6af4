import { join } from 'node:path'
import ts from 'typescript'
import type { Mutation } from './mutations-of.js'

/** Knows which mutations `npm run check` would find. */
export class Compiler {
  readonly #root: string
  readonly #service: ts.LanguageService
  #mutation: Mutation | undefined
  #version = 0

  constructor(root: string) {
    this.#root = root
    const { config } = ts.readConfigFile(join(root, 'tsconfig.build.json'), ts.sys.readFile)
    const { options, fileNames } = ts.parseJsonConfigFileContent(config, ts.sys, root)
    this.#service = ts.createLanguageService({
      getCompilationSettings: () => options,
      getScriptFileNames: () => fileNames,
      getScriptVersion: path => (this.#isMutated(path) ? String(this.#version) : '0'),
      getScriptSnapshot: path => {
        const text = this.#isMutated(path) ? this.#mutation?.text : ts.sys.readFile(path)
        return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text)
      },
      getCurrentDirectory: () => root,
      getDefaultLibFileName: ts.getDefaultLibFilePath,
      fileExists: ts.sys.fileExists,
      readFile: ts.sys.readFile,
      directoryExists: ts.sys.directoryExists,
      getDirectories: ts.sys.getDirectories,
    })
  }

  accepts(mutation: Mutation): boolean {
    this.#mutation = mutation
    this.#version++
    const path = join(this.#root, mutation.file)
    return (
      this.#service.getSyntacticDiagnostics(path).length === 0 &&
      this.#service.getSemanticDiagnostics(path).length === 0
    )
  }

  #isMutated(path: string): boolean {
    return this.#mutation !== undefined && path === join(this.#root, this.#mutation.file)
  }
}
