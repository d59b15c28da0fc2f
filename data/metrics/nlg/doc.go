// Package nlg scores generated texts as the official scripts do, to the last digits that they compute:
//
//	E2E          BLEU and NIST of mteval-v13a or pymteval, METEOR, and pycoco's ROUGE-L and CIDEr
//	WebNLG       BLEU of multi-bleu-detok, METEOR, and pyter3's TER, as LoRA uses GenerationEval
//	WebNLG 2017  BLEU of multi-bleu, METEOR, and tercom's TER
//
// Each metric is a function of segments; a Pipeline prepares the texts of a task and runs its metrics. Package tok
// finds the words in texts, and METEOR is package meteor.
package nlg
