using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Cnvm.Linux;

/// <summary>
/// Which pages of this process's private anonymous memory hold anything: those that are in memory or in swap, by
/// <c>/proc/self/pagemap</c> (Documentation/admin-guide/mm/pagemap.rst). All others read as zeros, and looking at them would make page
/// tables for them. Not for shared memory or files, whose contents are there without being mapped.
/// </summary>
public sealed class ResidentPages : IDisposable
{
    private const string Source = "/proc/self/pagemap";
    private const int PageShift = 12;

    // Bit 63: present; bit 62: swapped, or on its way between two places.
    private const ulong Held = 3UL << 62;

    private readonly SafeFileHandle _file;

    private ResidentPages(SafeFileHandle file) => _file = file;

    /// <summary>Null on a kernel without it (CONFIG_PROC_PAGE_MONITOR), or where it may not be read.</summary>
    public static ResidentPages? TryOpen()
    {
        try
        {
            return new ResidentPages(File.OpenHandle(Source, FileMode.Open, FileAccess.Read, FileShare.ReadWrite));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>Looks at as many pages as <paramref name="entries"/> has room for; afterwards <see cref="IsHeld"/> takes its elements.</summary>
    /// <param name="address">Page aligned.</param>
    /// <exception cref="IOException">The kernel refused.</exception>
    public void Read(nint address, Span<ulong> entries)
    {
        Span<byte> bytes = MemoryMarshal.AsBytes(entries);
        long offset = (long)((ulong)address >> PageShift) * sizeof(ulong);
        for (int done = 0; done < bytes.Length;)
        {
            int read = RandomAccess.Read(_file, bytes[done..], offset + done);
            done += read > 0 ? read : throw new IOException($"{Source} ends at 0x{offset + done:x}");
        }
    }

    public static bool IsHeld(ulong entry) => (entry & Held) != 0;

    public void Dispose() => _file.Dispose();
}
