using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft;

/// <summary>The FXSAVE image and the standard XSAVE area (SDM vol. 1 §10.5.1, §13.4).</summary>
internal static unsafe class FpuState
{
    public const uint MxcsrMask = 0xffff;

    public const ulong X87 = 1;
    public const ulong Sse = 2;
    public const ulong Avx = 4;

    /// <summary>The legacy area and the XSAVE header.</summary>
    public const int HeaderEnd = 576;

    /// <summary>The upper halves of the YMM registers follow the header, in the standard format and in the compacted one alike.</summary>
    public const int AreaBytes = HeaderEnd + 256;

    /// <summary>Components that are not in their initial configuration (XINUSE).</summary>
    public static ulong InUse(Cpu* c)
    {
        ulong x87 = c->FpuStatus | (uint)c->FpuTop | c->FpuValid | c->FpuOpcode | c->FpuIp | c->FpuDp | (uint)(c->FpuControl ^ 0x37f);
        for (int i = 0; i < 16; i++)
        {
            x87 |= c->Fpr[i];
        }

        ulong low = 0;
        ulong high = 0;
        for (int i = 0; i < 64; i += 4)
        {
            low |= c->Vector[i] | c->Vector[i + 1];
            high |= c->Vector[i + 2] | c->Vector[i + 3];
        }

        return (x87 != 0 ? X87 : 0) | (low != 0 ? Sse : 0) | (high != 0 ? Avx : 0);
    }

    /// <summary>Everything, as XSAVE with all components would, in the standard format.</summary>
    /// <param name="size">Bytes of the area; the AVX component is left out when it does not fit.</param>
    public static void SaveAll(Cpu* c, byte* area, int size)
    {
        new Span<byte>(area, size).Clear();
        ulong use = InUse(c);
        SaveX87(c, area, 8);
        SaveSse(c, area, 16);
        if (size >= AreaBytes)
        {
            SaveAvx(c, area, 16);
        }

        *(ulong*)(area + 512) = use;
    }

    /// <param name="size">Bytes of the area; the AVX component is initialised when it does not fit.</param>
    public static void RestoreAll(Cpu* c, byte* area, int size)
    {
        ulong present = *(ulong*)(area + 512);
        if ((present & X87) != 0)
        {
            RestoreX87(c, area, 8);
        }
        else
        {
            InitX87(c);
        }

        c->Mxcsr = *(uint*)(area + 24) & MxcsrMask;
        if ((present & Sse) != 0)
        {
            RestoreSse(c, area, 16);
        }
        else
        {
            ClearSse(c, 16);
        }

        if ((present & Avx) != 0 && size >= AreaBytes)
        {
            RestoreAvx(c, area, 16);
        }
        else
        {
            ClearAvx(c, 16);
        }
    }

    /// <param name="pointerSize">8: 64-bit instruction and data pointers; 4: selector and 32-bit offset.</param>
    public static void SaveX87(Cpu* c, byte* area, int pointerSize)
    {
        *(ushort*)area = c->FpuControl;
        *(ushort*)(area + 2) = StatusWord(c);
        byte tags = 0;
        for (int i = 0; i < 8; i++)
        {
            tags |= (byte)(c->FpuValid & (1 << i));
        }

        area[4] = tags;
        area[5] = 0;
        *(ushort*)(area + 6) = c->FpuOpcode;
        *(ulong*)(area + 8) = pointerSize == 8 ? c->FpuIp : (uint)c->FpuIp;
        *(ulong*)(area + 16) = pointerSize == 8 ? c->FpuDp : (uint)c->FpuDp;
        for (int i = 0; i < 8; i++)
        {
            int physical = (c->FpuTop + i) & 7;
            *(ulong*)(area + 32 + (i * 16)) = c->Fpr[physical * 2];
            *(ulong*)(area + 40 + (i * 16)) = (ushort)c->Fpr[(physical * 2) + 1];
        }
    }

    public static void RestoreX87(Cpu* c, byte* area, int pointerSize)
    {
        c->FpuControl = (ushort)(*(ushort*)area | 0x40);
        SetStatusWord(c, *(ushort*)(area + 2));
        c->FpuValid = area[4];
        c->FpuOpcode = (ushort)(*(ushort*)(area + 6) & 0x7ff);
        c->FpuIp = pointerSize == 8 ? *(ulong*)(area + 8) : *(uint*)(area + 8);
        c->FpuDp = pointerSize == 8 ? *(ulong*)(area + 16) : *(uint*)(area + 16);
        for (int i = 0; i < 8; i++)
        {
            int physical = (c->FpuTop + i) & 7;
            c->Fpr[physical * 2] = *(ulong*)(area + 32 + (i * 16));
            c->Fpr[(physical * 2) + 1] = *(ushort*)(area + 40 + (i * 16));
        }
    }

    public static void InitX87(Cpu* c)
    {
        InitX87Control(c);
        for (int i = 0; i < 16; i++)
        {
            c->Fpr[i] = 0;
        }
    }

    /// <summary>What FNINIT does: everything but the contents of the registers.</summary>
    public static void InitX87Control(Cpu* c)
    {
        c->FpuControl = 0x37f;
        c->FpuStatus = 0;
        c->FpuTop = 0;
        c->FpuValid = 0;
        c->FpuOpcode = 0;
        c->FpuIp = 0;
        c->FpuDp = 0;
    }

    public static void SaveSse(Cpu* c, byte* area, int registers)
    {
        *(uint*)(area + 24) = c->Mxcsr;
        *(uint*)(area + 28) = MxcsrMask;
        SaveVectors(c, area, registers);
    }

    public static void SaveVectors(Cpu* c, byte* area, int registers)
    {
        for (int i = 0; i < registers; i++)
        {
            *(ulong*)(area + 160 + (i * 16)) = c->Vector[i * 4];
            *(ulong*)(area + 168 + (i * 16)) = c->Vector[(i * 4) + 1];
        }
    }

    public static void RestoreSse(Cpu* c, byte* area, int registers)
    {
        for (int i = 0; i < registers; i++)
        {
            c->Vector[i * 4] = *(ulong*)(area + 160 + (i * 16));
            c->Vector[(i * 4) + 1] = *(ulong*)(area + 168 + (i * 16));
        }
    }

    public static void ClearSse(Cpu* c, int registers)
    {
        for (int i = 0; i < registers; i++)
        {
            c->Vector[i * 4] = 0;
            c->Vector[(i * 4) + 1] = 0;
        }
    }

    public static void SaveAvx(Cpu* c, byte* area, int registers)
    {
        for (int i = 0; i < registers; i++)
        {
            *(ulong*)(area + HeaderEnd + (i * 16)) = c->Vector[(i * 4) + 2];
            *(ulong*)(area + HeaderEnd + 8 + (i * 16)) = c->Vector[(i * 4) + 3];
        }
    }

    public static void RestoreAvx(Cpu* c, byte* area, int registers)
    {
        for (int i = 0; i < registers; i++)
        {
            c->Vector[(i * 4) + 2] = *(ulong*)(area + HeaderEnd + (i * 16));
            c->Vector[(i * 4) + 3] = *(ulong*)(area + HeaderEnd + 8 + (i * 16));
        }
    }

    public static void ClearAvx(Cpu* c, int registers)
    {
        for (int i = 0; i < registers; i++)
        {
            c->Vector[(i * 4) + 2] = 0;
            c->Vector[(i * 4) + 3] = 0;
        }
    }

    /// <summary>FSW with TOP in bits 13:11.</summary>
    public static ushort StatusWord(Cpu* c) => (ushort)((c->FpuStatus & ~0x3800) | (c->FpuTop << 11));

    public static void SetStatusWord(Cpu* c, ushort value)
    {
        c->FpuTop = (value >> 11) & 7;
        c->FpuStatus = (ushort)(value & ~0x3800);
    }
}
