using System.Runtime.InteropServices;

namespace Cnvm.Hypervisor.Soft.Tests.Differential;

/// <summary>
/// The small 64-bit guest that both processors run: identity-mapped pages, user code and data with holes around them, and an IDT
/// whose handlers name their vector on a port.
/// </summary>
internal static unsafe class GuestLayout
{
    public const ulong RamSize = 2 << 20;
    public const ulong TablesAddress = 0x1000;
    public const ulong GdtAddress = 0x5000;
    public const ulong IdtAddress = 0x6000;
    public const ulong TssAddress = 0x7000;
    public const ulong HandlersAddress = 0x8000;
    public const ulong KernelStackTop = 0xa000;
    public const ulong CodeAddress = 0x1_0000;

    /// <summary>Two writable pages; the page before is absent, the page after cannot be written, the one after that is the
    /// kernel's.</summary>
    public const ulong DataAddress = 0x2_1000;
    public const int DataSize = 0x3000;
    public const int WritableSize = 0x2000;

    /// <summary>Where the data pages meet.</summary>
    public const ulong DataMiddle = DataAddress + 0x1000;

    public const ushort KernelCode = 8;
    public const ushort KernelData = 0x10;
    public const ushort UserData = 0x1b;
    public const ushort UserCode = 0x23;
    public const ushort TaskSelector = 0x28;

    /// <summary>The port that the end of the code writes; exception n writes port n.</summary>
    public const byte EndPort = 0x80;

    /// <summary>What ends the code: OUT to <see cref="EndPort"/>, and a jump to itself.</summary>
    public static ReadOnlySpan<byte> Tail => [0xe6, EndPort, 0xeb, 0xfe];

    /// <summary>Does the processor push an error code?</summary>
    public static bool HasErrorCode(int vector) => vector is 8 or (>= 10 and <= 14) or 17;

    public static void Build(byte* ram)
    {
        ulong* tables = (ulong*)(ram + TablesAddress);
        tables[0] = (TablesAddress + 0x1000) | 0x67;
        tables[512] = (TablesAddress + 0x2000) | 0x67;
        tables[1024] = (TablesAddress + 0x3000) | 0x67;
        ulong* pages = tables + 1536;
        for (ulong a = 0; a < RamSize; a += 0x1000)
        {
            pages[a >> 12] = a | (a < CodeAddress ? 0x63ul : 0x67);
        }

        pages[CodeAddress >> 12] = CodeAddress | 0x65;
        pages[(DataAddress >> 12) - 1] = 0;
        pages[(DataAddress >> 12) + 2] &= ~2ul;
        pages[(DataAddress >> 12) + 3] &= ~4ul;
        pages[(DataAddress >> 12) + 4] = 0;
        ulong* gdt = (ulong*)(ram + GdtAddress);
        gdt[1] = 0x00af_9b00_0000_ffff;
        gdt[2] = 0x00cf_9300_0000_ffff;
        gdt[3] = 0x00cf_f300_0000_ffff;
        gdt[4] = 0x00af_fb00_0000_ffff;
        gdt[5] = 0x0000_8b00_0000_0067 | (TssAddress << 16);
        *(ulong*)(ram + TssAddress + 4) = KernelStackTop;
        for (int v = 0; v < 32; v++)
        {
            ulong handler = HandlersAddress + ((ulong)v * 16);
            ulong* gate = (ulong*)(ram + IdtAddress + (v * 16));
            gate[0] = (handler & 0xffff) | ((ulong)KernelCode << 16) | 0x0000_8e00_0000_0000 | (handler >> 16 << 48);
            gate[1] = 0;
            new ReadOnlySpan<byte>([0xe6, (byte)v, 0xeb, 0xfc]).CopyTo(new Span<byte>(ram + handler, 4));
        }
    }

    public static Span<byte> Data(byte* ram) => new(ram + DataAddress, DataSize);

    public static void SetCode(byte* ram, ReadOnlySpan<byte> code)
    {
        code.CopyTo(new Span<byte>(ram + CodeAddress, 0xf00));
        Tail.CopyTo(new Span<byte>(ram + CodeAddress + code.Length, 16));
    }

    /// <summary>Reads what the processor pushed when it entered a handler, and makes it the state's.</summary>
    public static void TakeFrame(byte* ram, CpuImage state, int vector, ulong kernelStack)
    {
        ulong* frame = (ulong*)(ram + kernelStack);
        state.Vector = vector;
        state.Error = 0;
        if (HasErrorCode(vector))
        {
            state.Error = (uint)*frame++;
        }

        state.Rip = frame[0];
        state.Flags = frame[2];
        state.General[4] = frame[3];
    }

    public static byte* Allocate()
    {
        byte* ram = (byte*)NativeMemory.AlignedAlloc((nuint)RamSize, 4096);
        NativeMemory.Clear(ram, (nuint)RamSize);
        Build(ram);
        return ram;
    }
}
