using System.Buffers.Binary;
using System.Collections.Immutable;
using System.Numerics;
using Cnvm.Arch.Cpuid;

namespace Cnvm.Hypervisor.State;

/// <summary>
/// An XSAVE area in its one normal form, so that areas of different hosts compare: standard format; XSTATE_BV has a component's bit
/// exactly when its content differs from the initial one; the rest is zero but for MXCSR; it ends with the last component in use
/// (SDM vol. 1 §13.4, §13.6).
/// </summary>
public static class XsaveArea
{
    /// <summary>Legacy region and header.</summary>
    public const int MinBytes = 576;

    private const uint XsaveLeaf = 0xd;
    private const int HeaderStart = 512;
    private const int MxcsrOffset = 24;
    private const int X87RegistersStart = 32;
    private const int SseStart = 160;
    private const int SseEnd = 416;
    private const ushort InitialControlWord = 0x37f;
    private const uint MaxComponentBytes = 1 << 16;

    /// <param name="area">Standard format, at least <see cref="MinBytes"/>.</param>
    /// <param name="layout">Tells where components beyond SSE are: leaf 0DH of the CPUID that the area was made under.</param>
    public static ImmutableArray<byte> Normalize(ReadOnlySpan<byte> area, CpuidTable layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        ulong present = Present(area);
        var normal = new byte[area.Length];
        ulong used = 0;
        int end = MinBytes;
        area.Slice(MxcsrOffset, 4).CopyTo(normal.AsSpan(MxcsrOffset));
        if ((present & 1) != 0 && !IsInitialX87(area))
        {
            used |= 1;
            area[..MxcsrOffset].CopyTo(normal);
            area[X87RegistersStart..SseStart].CopyTo(normal.AsSpan(X87RegistersStart));
        }

        if ((present & 2) != 0 && area[SseStart..SseEnd].ContainsAnyExcept((byte)0))
        {
            used |= 2;
            area[SseStart..SseEnd].CopyTo(normal.AsSpan(SseStart));
        }

        for (ulong rest = present & ~3UL; rest != 0; rest &= rest - 1)
        {
            int component = BitOperations.TrailingZeroCount(rest);
            if (TryPlace(layout, component, out int start, out int length) && start <= area.Length - length
                && area.Slice(start, length).ContainsAnyExcept((byte)0))
            {
                used |= 1UL << component;
                area.Slice(start, length).CopyTo(normal.AsSpan(start));
                end = Math.Max(end, start + length);
            }
        }

        BinaryPrimitives.WriteUInt64LittleEndian(normal.AsSpan(HeaderStart), used);
        return [.. normal.AsSpan(0, end)];
    }

    /// <summary>The area as a host takes it that holds components elsewhere; parts that are initial are written out.</summary>
    /// <param name="area">In normal form or not.</param>
    /// <param name="from">Layout of <paramref name="area"/>.</param>
    /// <param name="to">Layout of the result.</param>
    /// <param name="into">Cleared and filled.</param>
    /// <returns>Components in use that <paramref name="into"/> has no room for; 0: all is well.</returns>
    public static ulong Place(ReadOnlySpan<byte> area, CpuidTable from, CpuidTable to, Span<byte> into)
    {
        into.Clear();
        ulong present = Present(area);
        ulong placed = 0;
        if ((present & 1) != 0)
        {
            area[..MxcsrOffset].CopyTo(into);
            area[X87RegistersStart..SseStart].CopyTo(into[X87RegistersStart..]);
            placed |= 1;
        }
        else
        {
            BinaryPrimitives.WriteUInt16LittleEndian(into, InitialControlWord);
        }

        area.Slice(MxcsrOffset, 4).CopyTo(into[MxcsrOffset..]);
        if ((present & 2) != 0)
        {
            area[SseStart..SseEnd].CopyTo(into[SseStart..]);
            placed |= 2;
        }

        for (ulong rest = present & ~3UL; rest != 0; rest &= rest - 1)
        {
            int component = BitOperations.TrailingZeroCount(rest);
            if (TryPlace(from, component, out int start, out int length) && start <= area.Length - length
                && TryPlace(to, component, out int target, out int targetLength) && targetLength == length && target <= into.Length - length)
            {
                area.Slice(start, length).CopyTo(into[target..]);
                placed |= 1UL << component;
            }
        }

        // MXCSR is loaded only together with SSE or AVX state (SDM vol. 1 §13.8.1).
        if (BinaryPrimitives.ReadUInt32LittleEndian(area[MxcsrOffset..]) != 0x1f80)
        {
            placed |= 2;
        }

        BinaryPrimitives.WriteUInt64LittleEndian(into[HeaderStart..], placed);
        return present & ~placed;
    }

    /// <summary>Bytes that an area with every component of a CPUID takes.</summary>
    public static int BytesOf(CpuidTable layout)
    {
        ArgumentNullException.ThrowIfNull(layout);
        int bytes = MinBytes;
        for (int component = 2; component < 63; component++)
        {
            bytes = TryPlace(layout, component, out int start, out int length) ? Math.Max(bytes, start + length) : bytes;
        }

        return bytes;
    }

    /// <summary>XSTATE_BV.</summary>
    public static ulong Present(ReadOnlySpan<byte> area) => BinaryPrimitives.ReadUInt64LittleEndian(area[HeaderStart..]);

    private static bool IsInitialX87(ReadOnlySpan<byte> area) =>
        BinaryPrimitives.ReadUInt16LittleEndian(area) == InitialControlWord
        && !area[2..MxcsrOffset].ContainsAnyExcept((byte)0)
        && !area[X87RegistersStart..SseStart].ContainsAnyExcept((byte)0);

    private static bool TryPlace(CpuidTable layout, int component, out int start, out int length)
    {
        start = 0;
        length = 0;
        if (!layout.TryGet(XsaveLeaf, (uint)component, out CpuidEntry e) || e.Eax is 0 or > MaxComponentBytes || e.Ebx is < MinBytes or > MaxComponentBytes)
        {
            return false;
        }

        start = (int)e.Ebx;
        length = (int)e.Eax;
        return true;
    }
}
