using System.Runtime.InteropServices;
using Cnvm.Linux.Abi;

namespace Cnvm.Linux.Kvm;

/// <summary>The page a vCPU shares with the kernel (linux/kvm.h); members of the exit union lie at offset 32.</summary>
[Abi("linux/kvm.h", "struct kvm_run")]
[StructLayout(LayoutKind.Explicit, Size = 2352)]
public struct kvm_run
{
    [FieldOffset(0)] public byte request_interrupt_window;
    [FieldOffset(1)] public byte immediate_exit;
    [FieldOffset(8)] public uint exit_reason;
    [FieldOffset(12)] public byte ready_for_interrupt_injection;
    [FieldOffset(13)] public byte if_flag;
    [FieldOffset(14)] public ushort flags;
    [FieldOffset(16)] public ulong cr8;
    [FieldOffset(24)] public ulong apic_base;
    [FieldOffset(32), AbiField("hw")] public ulong hardware_exit_reason;
    [FieldOffset(32)] public kvm_run_fail_entry fail_entry;
    [FieldOffset(32)] public kvm_run_io io;
    [FieldOffset(32)] public kvm_debug_exit_arch debug;
    [FieldOffset(32)] public kvm_run_mmio mmio;
    [FieldOffset(32)] public kvm_run_internal @internal;
    [FieldOffset(32)] public kvm_run_emulation_failure emulation_failure;
    [FieldOffset(32)] public kvm_run_system_event system_event;
    [FieldOffset(32)] public kvm_run_eoi eoi;
    [FieldOffset(32)] public kvm_run_msr msr;
}

[Abi("linux/kvm.h", "typeof(((struct kvm_run *)0)->fail_entry)")]
public struct kvm_run_fail_entry
{
    public ulong hardware_entry_failure_reason;
    public uint cpu;
}

[Abi("linux/kvm.h", "typeof(((struct kvm_run *)0)->io)")]
public struct kvm_run_io
{
    public byte direction;
    public byte size;
    public ushort port;
    public uint count;

    /// <summary>Offset of the data from the start of <see cref="kvm_run"/>.</summary>
    public ulong data_offset;
}

[Abi("linux/kvm.h", "struct kvm_debug_exit_arch")]
public struct kvm_debug_exit_arch
{
    public uint exception;
    public uint pad;
    public ulong pc;
    public ulong dr6;
    public ulong dr7;
}

[Abi("linux/kvm.h", "typeof(((struct kvm_run *)0)->mmio)")]
public unsafe struct kvm_run_mmio
{
    public ulong phys_addr;
    public fixed byte data[8];
    public uint len;
    public byte is_write;
}

[Abi("linux/kvm.h", "typeof(((struct kvm_run *)0)->internal)")]
public unsafe struct kvm_run_internal
{
    public uint suberror;
    public uint ndata;
    public fixed ulong data[16];
}

[Abi("linux/kvm.h", "typeof(((struct kvm_run *)0)->emulation_failure)")]
public unsafe struct kvm_run_emulation_failure
{
    public uint suberror;
    public uint ndata;
    public ulong flags;
    public byte insn_size;
    public fixed byte insn_bytes[15];
}

[Abi("linux/kvm.h", "typeof(((struct kvm_run *)0)->system_event)")]
public unsafe struct kvm_run_system_event
{
    public uint type;
    public uint ndata;
    public fixed ulong data[16];
}

[Abi("linux/kvm.h", "typeof(((struct kvm_run *)0)->eoi)")]
public struct kvm_run_eoi
{
    public byte vector;
}

[Abi("linux/kvm.h", "typeof(((struct kvm_run *)0)->msr)")]
public unsafe struct kvm_run_msr
{
    public byte error;
    public fixed byte pad[7];
    public uint reason;
    public uint index;
    public ulong data;
}
