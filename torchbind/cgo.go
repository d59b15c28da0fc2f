package torchbind

// #cgo CFLAGS: -I${SRCDIR}/internal/shim -I${SRCDIR}/internal/c10d
// #cgo LDFLAGS: -L${SRCDIR}/internal/none -Wl,-rpath,${SRCDIR}/../third_party/lib -ldl
// #cgo noescape tb_free
// #cgo nocallback tb_free
// #cgo noescape tb_from_data
// #cgo nocallback tb_from_data
// #cgo noescape tb_empty
// #cgo nocallback tb_empty
// #cgo noescape tb_info
// #cgo nocallback tb_info
// #cgo noescape tb_copy_to_host
// #cgo nocallback tb_copy_to_host
// #cgo noescape tb_reshape
// #cgo nocallback tb_reshape
// #cgo noescape tb_cat
// #cgo nocallback tb_cat
// #cgo noescape tb_block_diag
// #cgo nocallback tb_block_diag
// #cgo noescape tb_grad
// #cgo nocallback tb_grad
// #cgo noescape tb_foreach_add
// #cgo nocallback tb_foreach_add
// #cgo noescape tb_foreach_add_
// #cgo nocallback tb_foreach_add_
// #cgo noescape tb_foreach_mul
// #cgo nocallback tb_foreach_mul
// #cgo noescape tb_foreach_mul_scalar_
// #cgo nocallback tb_foreach_mul_scalar_
// #cgo noescape tb_foreach_copy_
// #cgo nocallback tb_foreach_copy_
// #cgo noescape tb_foreach_norm
// #cgo nocallback tb_foreach_norm
// #cgo noescape tb_fused_adamw_
// #cgo nocallback tb_fused_adamw_
// #cgo noescape tb_adam_lookahead
// #cgo nocallback tb_adam_lookahead
// #cgo noescape tb_quantize
// #cgo nocallback tb_quantize
// #cgo noescape tb_dequantize
// #cgo nocallback tb_dequantize
// #cgo noescape tb_quantized_linear
// #cgo nocallback tb_quantized_linear
// #cgo noescape tb_attention_plan
// #cgo nocallback tb_attention_plan
// #cgo noescape tb_planned_attention
// #cgo nocallback tb_planned_attention
// #cgo noescape tb_group_average
// #cgo nocallback tb_group_average
// #cgo noescape tb_group_grad
// #cgo nocallback tb_group_grad
// #cgo noescape tb_group_lengths
// #cgo nocallback tb_group_lengths
// #cgo noescape tb_group_gather
// #cgo nocallback tb_group_gather
// #include <stdlib.h>
// #include "c10d.h"
// #include "shim.h"
import "C"
