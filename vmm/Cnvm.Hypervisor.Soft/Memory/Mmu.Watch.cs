using Cnvm.Hypervisor.Soft.Core;

namespace Cnvm.Hypervisor.Soft.Memory;

/// <summary>
/// Data and port breakpoints (SDM vol. 3 §17.2). While one is enabled its page stays out of the TLB, so that every access to it
/// comes to the slow path, which tells of it here; otherwise they cost the fast path nothing.
/// </summary>
internal static unsafe partial class Mmu
{
    /// <summary>R/W field of DR7: writes; ports; reads and writes.</summary>
    private const int OnWrite = 1;
    private const int OnPort = 2;
    private const int OnAccess = 3;

    /// <summary>The R/W field of an enabled breakpoint; -1: not enabled.</summary>
    public static int BreakpointKind(Cpu* c, int n) =>
        ((c->Dr[7] >> (n * 2)) & 3) == 0 ? -1 : (int)(c->Dr[7] >> (16 + (n * 4))) & 3;

    /// <summary>Bytes that a breakpoint covers, from its LEN field.</summary>
    private static uint BreakpointLength(Cpu* c, int n) => ((c->Dr[7] >> (18 + (n * 4))) & 3) switch { 0 => 1, 1 => 2, 2 => 8, _ => 4 };

    /// <summary>Drops what the TLB has of the pages with data breakpoints.</summary>
    public static void FlushWatched(Cpu* c)
    {
        for (int n = 0; n < 4; n++)
        {
            if (BreakpointKind(c, n) is OnWrite or OnAccess)
            {
                FlushPage(c, c->Dr[n]);
            }
        }
    }

    /// <summary>Breakpoints do not cross pages: their addresses count as aligned to their lengths.</summary>
    private static bool IsWatchedPage(Cpu* c, ulong a)
    {
        for (int n = 0; n < 4; n++)
        {
            if (BreakpointKind(c, n) is OnWrite or OnAccess && ((c->Dr[n] ^ a) & PageMask) == 0)
            {
                return true;
            }
        }

        return false;
    }

    /// <summary>Notes which data breakpoints an access meets.</summary>
    private static void NoteAccess(Cpu* c, ulong a, int size, bool write)
    {
        for (int n = 0; n < 4; n++)
        {
            int kind = BreakpointKind(c, n);
            if (kind == OnAccess || (kind == OnWrite && write))
            {
                NoteOverlap(c, n, a, (uint)size);
            }
        }
    }

    /// <summary>Notes which port breakpoints an access meets; CR4.DE makes them such.</summary>
    public static void NotePort(Cpu* c, ushort port, int size)
    {
        for (int n = 0; n < 4 && (c->Cr4 & ControlBits.CR4_DE) != 0; n++)
        {
            if (BreakpointKind(c, n) == OnPort)
            {
                NoteOverlap(c, n, port, (uint)size);
            }
        }
    }

    private static void NoteOverlap(Cpu* c, int n, ulong a, uint size)
    {
        uint length = BreakpointLength(c, n);
        ulong start = c->Dr[n] & ~(length - 1ul);
        if (a - start < length || start - a < size)
        {
            c->WatchHits |= 1ul << n;
        }
    }
}
