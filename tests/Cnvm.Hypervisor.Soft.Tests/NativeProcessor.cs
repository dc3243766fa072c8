using System.Runtime.InteropServices;
using Cnvm.Linux;
using Iced.Intel;
using static Iced.Intel.AssemblerRegisters;

namespace Cnvm.Hypervisor.Soft.Tests;

/// <summary>
/// Runs instruction bytes on the real processor, in this process: a trampoline loads every register, jumps to the code, and
/// stores every register when the code jumps back. The arena lies at one address, so that guest and host see the same one.
/// </summary>
internal sealed unsafe class NativeProcessor : IDisposable
{
    public const ulong ArenaBase = 0x1000_0000;
    public const int ArenaSize = 4 << 20;
    public const ulong CodeAddress = ArenaBase;
    public const ulong DataAddress = ArenaBase + 0x1_0000;
    public const int DataSize = 0x1000;
    private const ulong ContextAddress = ArenaBase + 0x2_0000;
    private const ulong EntryAddress = ArenaBase + 0x3_0000;
    private const ulong ExitAddress = ArenaBase + 0x3_1000;
    private const int FixedNoReplace = 0x10_0000;

    private readonly nint _arena;

    public NativeProcessor()
    {
        _arena = Libc.mmap(
            (nint)ArenaBase, ArenaSize, Libc.PROT_READ | Libc.PROT_WRITE | Libc.PROT_EXEC, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | FixedNoReplace, -1, 0);
        if (_arena != (nint)ArenaBase)
        {
            throw new InvalidOperationException($"no arena at 0x{ArenaBase:x}");
        }

        BuildEntry();
        BuildExit();
    }

    public static Span<byte> Data => new((void*)DataAddress, DataSize);

    /// <summary>Copies instruction bytes to their place and appends others after them.</summary>
    public static void SetCode(ReadOnlySpan<byte> code, ReadOnlySpan<byte> tail)
    {
        code.CopyTo(new Span<byte>((void*)CodeAddress, 4096));
        tail.CopyTo(new Span<byte>((byte*)CodeAddress + code.Length, 64));
    }

    /// <summary>The bytes that lead from the end of some code back to the trampoline.</summary>
    public static byte[] JumpBack(int codeLength)
    {
        byte[] jump = new byte[5];
        jump[0] = 0xe9;
        BitConverter.TryWriteBytes(jump.AsSpan(1), (int)(ExitAddress - (CodeAddress + (ulong)codeLength + 5)));
        return jump;
    }

    /// <summary>Runs the code in place; RSP keeps the host's value.</summary>
    public static void Run(ProcessorState state)
    {
        state.Store((byte*)ContextAddress);
        ((delegate* unmanaged<void>)EntryAddress)();
        state.Load((byte*)ContextAddress);
    }

    public void Dispose() => Libc.munmap(_arena, ArenaSize);

    private static readonly AssemblerRegister64[] Registers =
        [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15];

    private static readonly AssemblerRegisterMM[] MmxRegisters = [mm0, mm1, mm2, mm3, mm4, mm5, mm6, mm7];

    private static readonly AssemblerRegisterXMM[] Vectors =
        [xmm0, xmm1, xmm2, xmm3, xmm4, xmm5, xmm6, xmm7, xmm8, xmm9, xmm10, xmm11, xmm12, xmm13, xmm14, xmm15];

    private static void BuildEntry()
    {
        Assembler a = new(64);
        foreach (AssemblerRegister64 r in (AssemblerRegister64[])[rbx, rbp, r12, r13, r14, r15])
        {
            a.push(r);
        }

        a.mov(rax, ContextAddress);
        for (int i = 0; i < 16; i++)
        {
            a.movdqu(Vectors[i], __[rax + (256 + (i * 16))]);
        }

        for (int i = 0; i < 8; i++)
        {
            a.movq(MmxRegisters[i], __qword_ptr[rax + (512 + (i * 8))]);
        }

        a.push(__qword_ptr[rax + 128]);
        a.popfq();
        for (int i = 1; i < 16; i++)
        {
            if (i != 4)
            {
                a.mov(Registers[i], __qword_ptr[rax + (i * 8)]);
            }
        }

        a.mov(rax, __qword_ptr[rax]);
        a.jmp(CodeAddress);
        Place(a, EntryAddress);
    }

    private static void BuildExit()
    {
        Assembler a = new(64);
        a.mov(__qword_ptr[ContextAddress], rax);
        a.mov(rax, ContextAddress);
        for (int i = 1; i < 16; i++)
        {
            if (i != 4)
            {
                a.mov(__qword_ptr[rax + (i * 8)], Registers[i]);
            }
        }

        a.pushfq();
        a.pop(__qword_ptr[rax + 128]);
        for (int i = 0; i < 16; i++)
        {
            a.movdqu(__[rax + (256 + (i * 16))], Vectors[i]);
        }

        for (int i = 0; i < 8; i++)
        {
            a.movq(__qword_ptr[rax + (512 + (i * 8))], MmxRegisters[i]);
        }

        a.cld();
        a.emms();
        foreach (AssemblerRegister64 r in (AssemblerRegister64[])[r15, r14, r13, r12, rbp, rbx])
        {
            a.pop(r);
        }

        a.ret();
        Place(a, ExitAddress);
    }

    private static void Place(Assembler a, ulong address)
    {
        using MemoryStream stream = new();
        a.Assemble(new StreamCodeWriter(stream), address);
        stream.ToArray().CopyTo(new Span<byte>((void*)address, 4096));
    }
}
