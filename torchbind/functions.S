// A function that jumps, and what it jumps to: the function of its name in
// libautolora_torch.so, once open.c has looked it up, and tb_unopened before.
// The arguments stay where the caller put them.
#ifndef __x86_64__
#error "written for x86-64"
#endif

.macro function name
	.text
	.globl	\name
	.type	\name, @function
\name:
	jmp	*.Lto_\name(%rip)
	.size	\name, . - \name
	.section .rodata.tb_names, "a"
	.asciz	"\name"
	.section .data.rel.tb_slots, "aw"
.Lto_\name:
	.quad	tb_unopened
.endm

	.section .rodata.tb_names, "a"
	.globl	tb_names
	.hidden	tb_names
tb_names:
	.section .data.rel.tb_slots, "aw"
	.balign	8
	.globl	tb_slots
	.hidden	tb_slots
tb_slots:

// internal/shim/shim.h
function tb_error_free
function tb_free
function tb_from_data
function tb_empty
function tb_info
function tb_copy_to_host
function tb_copy_
function tb_item
function tb_to
function tb_clone
function tb_zeros_like
function tb_detach
function tb_requires_grad
function tb_requires_grad_
function tb_set_num_threads
function tb_num_threads
function tb_manual_seed
function tb_version
function tb_cpu_capability
function tb_cpu_bfloat16
function tb_grad_mode_set
function tb_inference_enter
function tb_inference_leave
function tb_cuda_devices
function tb_add
function tb_mul
function tb_add_scalar
function tb_mul_scalar
function tb_sqrt
function tb_tanh
function tb_sigmoid
function tb_cos
function tb_sin
function tb_contiguous
function tb_softmax
function tb_log_softmax
function tb_topk
function tb_sum
function tb_mean
function tb_matmul
function tb_addmm_
function tb_transpose
function tb_reshape
function tb_narrow
function tb_index_select
function tb_index_copy_
function tb_cat
function tb_block_diag
function tb_linear
function tb_embedding
function tb_mse_loss
function tb_grad
function tb_foreach_add
function tb_foreach_add_
function tb_foreach_mul
function tb_foreach_mul_scalar_
function tb_foreach_copy_
function tb_foreach_norm
function tb_fused_adamw_
function tb_adam_lookahead
function tb_pack_frozen
function tb_frozen_linear
function tb_quantize
function tb_dequantize
function tb_quantized_linear
function tb_packed_attention
function tb_attention_plan
function tb_planned_attention
function tb_add_dropout_layer_norm
function tb_layer_norm
function tb_rms_norm
function tb_add_dropout
function tb_gelu
function tb_swiglu
function tb_geglu
function tb_rotary
function tb_cross_entropy
function tb_dropout

// internal/accelerator/accelerator.h
function tb_accelerator_seed
function tb_accelerator_synchronize
function tb_accelerator_peak_memory
function tb_accelerator_reset_peak_memory
function tb_accelerator_empty_cache
function tb_allow_tf32
function tb_read_later
function tb_read_wait

// internal/c10d/c10d.h
function tb_group_new
function tb_group_free
function tb_group_average
function tb_group_grad
function tb_group_lengths
function tb_group_gather
function tb_group_any_begin
function tb_group_any_wait

// internal/profiler/profiler.h
function tb_profiler_start
function tb_profiler_stop
function tb_profiler_span_begin
function tb_profiler_span_end

// what gotorch calls
function Adam
function Add
function Add_
function AllClose
function Arange
function Argmax
function Argmin
function ByteBuffer_Data
function ByteBuffer_Free
function ByteBuffer_Size
function CUDA_GetCUDAStreamFromPool
function CUDA_GetCurrentCUDAStream
function CUDA_Query
function CUDA_SetCurrentCUDAStream
function CUDA_Synchronize
function Div
function Div_
function Empty
function Eq
function Equal
function ExpandAs
function Eye
function FinishGC
function Flatten
function FreeString
function Full
function GCPrepared
function IndexSelect
function IsCUDAAvailable
function IsCUDNNAvailable
function ItemFloat64
function ItemInt64
function LeakyRelu
function Linspace
function LogSoftmax
function Logspace
function MM
function Mean
function Mul
function Mul_
function Ones
function Optimizer_AddParameters
function Optimizer_Close
function Optimizer_SetLR
function Optimizer_Step
function Optimizer_ZeroGrad
function Permute
function PrepareGC
function Rand
function RandN
function Relu
function SGD
function SetNumThreads
function Sigmoid
function Squeeze
function SqueezeWithDim
function Stack
function Sub
function Sub_
function Sum
function SumByDim
function Tanh
function Tensor_Backward
function Tensor_CUDA
function Tensor_CastTo
function Tensor_Close
function Tensor_CopyTo
function Tensor_Decode
function Tensor_Detach
function Tensor_Dim
function Tensor_Dtype
function Tensor_Encode
function Tensor_FromBlob
function Tensor_Grad
function Tensor_Index
function Tensor_Load
function Tensor_PinMemory
function Tensor_Print
function Tensor_Save
function Tensor_SetData
function Tensor_Shape
function Tensor_String
function Tensor_To
function TopK
function Torch_Device
function Transpose
function View

	.section .rodata.tb_names, "a"
	.byte	0
	.section .note.GNU-stack, "", @progbits
