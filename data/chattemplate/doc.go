// Package chattemplate renders the chat templates of language models: Jinja programs that lay a conversation out as the
// text that a model was trained on. The texts are those of transformers' apply_chat_template.
//
// The engine is minijinja, by the author of Jinja2, with Python's forms of values, numbers and JSON (native/src/lib.rs).
// Of a file of a stranger it runs a bounded number of instructions, which can reach nothing but their variables.
package chattemplate
