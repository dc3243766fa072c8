using Cnvm.Linux;

namespace Cnvm.GuestAgent.Seccomp;

/// <summary>The instructions of classic BPF (linux/bpf_common.h) that filters need.</summary>
internal static class BpfInstruction
{
    private const ushort LoadWord = 0x20;
    private const ushort JumpAlways = 0x05;
    private const ushort JumpEqual = 0x15;
    private const ushort JumpGreater = 0x25;
    private const ushort JumpGreaterOrEqual = 0x35;
    private const ushort AndConstant = 0x54;
    private const ushort ReturnConstant = 0x06;

    /// <param name="offset">In struct seccomp_data.</param>
    public static sock_filter Load(uint offset) => new() { code = LoadWord, k = offset };

    public static sock_filter And(uint mask) => new() { code = AndConstant, k = mask };

    public static sock_filter Return(uint action) => new() { code = ReturnConstant, k = action };

    public static sock_filter Jump(uint distance) => new() { code = JumpAlways, k = distance };

    public static sock_filter JumpIfEqual(uint value, byte then, byte otherwise) => new() { code = JumpEqual, jt = then, jf = otherwise, k = value };

    public static sock_filter JumpIfGreater(uint value, byte then, byte otherwise) => new() { code = JumpGreater, jt = then, jf = otherwise, k = value };

    public static sock_filter JumpIfAtLeast(uint value, byte then, byte otherwise) => new() { code = JumpGreaterOrEqual, jt = then, jf = otherwise, k = value };
}
