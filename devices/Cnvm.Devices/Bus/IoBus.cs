using Microsoft.Extensions.Logging;

namespace Cnvm.Devices.Bus;

/// <summary>
/// An address space and the devices that answer in it: a machine has one for ports and one for memory outside RAM.
/// Dispatch takes no lock and allocates nothing; ranges may come, go and move while vCPUs run, and an access that is already on
/// its way to a device then still reaches it.
/// </summary>
public sealed class IoBus
{
    /// <summary>Last address of the port space.</summary>
    public const ulong LastPort = 0xffff;

    private readonly Lock _changeLock = new();
    private readonly ILogger _logger;
    private readonly LogRateLimit _unansweredLimit = new();
    private readonly LogRateLimit _refusedLimit = new();

    // Replaced as a whole by changes, so that a dispatch sees one consistent map.
    private volatile Map _map = new([], []);

    /// <param name="name">What the log and exceptions call the space: "port", "memory".</param>
    /// <param name="last">The last address of the space.</param>
    /// <param name="logger">Gets rate-limited debug lines for what the guest does wrong.</param>
    public IoBus(string name, ulong last, ILogger logger)
    {
        ArgumentNullException.ThrowIfNull(logger);
        Name = name;
        Last = last;
        _logger = logger;
    }

    public string Name { get; }

    /// <summary>The last address of the space.</summary>
    public ulong Last { get; }

    /// <summary>All registrations by rising address, as they are now.</summary>
    public IReadOnlyList<IoRange> Ranges => _map.Ranges;

    /// <summary>Puts a device on the bus.</summary>
    /// <exception cref="IoBusConflictException">Another device answers part of the range, or the range does not fit the space.</exception>
    public IoRange Register(ulong start, ulong size, IIoDevice device, string name)
    {
        ArgumentNullException.ThrowIfNull(device);
        if (!Fits(start, size))
        {
            string wanted = Describe(start, size, name);
            throw new IoBusConflictException(
                $"{wanted} is not inside the {Name} space, which ends at 0x{Last:x}", wanted, null);
        }

        IoRange range = new(start, size, device, name);
        lock (_changeLock)
        {
            if (_map.FirstOverlap(range.Base, range.Last, null) is { } other)
            {
                throw new IoBusConflictException(
                    $"{range} overlaps {other} in the {Name} space", range.ToString(), other.ToString());
            }

            _map = _map.With(range);
        }

        return range;
    }

    /// <summary>Puts a device on the bus unless the range is taken or outside the space: for addresses that the guest chose.</summary>
    public bool TryRegister(ulong start, ulong size, IIoDevice device, string name, out IoRange? range)
    {
        ArgumentNullException.ThrowIfNull(device);
        range = null;
        if (!Fits(start, size))
        {
            return false;
        }

        IoRange candidate = new(start, size, device, name);
        lock (_changeLock)
        {
            if (_map.FirstOverlap(candidate.Base, candidate.Last, null) is not null)
            {
                return false;
            }

            _map = _map.With(candidate);
        }

        range = candidate;
        return true;
    }

    /// <summary>Moves a registration in one step; false, with nothing changed, if the new place is taken or outside the space.</summary>
    public bool TryMove(IoRange range, ulong start, out IoRange? moved)
    {
        ArgumentNullException.ThrowIfNull(range);
        moved = null;
        if (!Fits(start, range.Size))
        {
            return false;
        }

        IoRange candidate = new(start, range.Size, range.Device, range.Name);
        lock (_changeLock)
        {
            if (!_map.Contains(range) || _map.FirstOverlap(candidate.Base, candidate.Last, range) is not null)
            {
                return false;
            }

            _map = _map.Without(range).With(candidate);
        }

        moved = candidate;
        return true;
    }

    /// <summary>Takes a registration off the bus; false if it is not on it.</summary>
    public bool Remove(IoRange range)
    {
        ArgumentNullException.ThrowIfNull(range);
        lock (_changeLock)
        {
            if (!_map.Contains(range))
            {
                return false;
            }

            _map = _map.Without(range);
            return true;
        }
    }

    /// <summary>Reads 1, 2, 4 or 8 bytes; what nobody answers reads as ones. Any thread.</summary>
    public IoResult Read(ulong address, Span<byte> data)
    {
        IoRange? range = _map.Find(address, data.Length);
        if (range is null || !IsWidth(data.Length))
        {
            data.Fill(0xff);
            LogUnanswered(address, data.Length, isWrite: false);
            return IoResult.NoResponse;
        }

        IoResult result = range.Device.Read(address - range.Base, data);
        if (result != IoResult.Ok)
        {
            data.Fill(0xff);
            LogRefused(range, address, data.Length, isWrite: false, result);
        }

        return result;
    }

    /// <summary>Writes 1, 2, 4 or 8 bytes; what nobody answers is dropped. Any thread.</summary>
    public IoResult Write(ulong address, ReadOnlySpan<byte> data)
    {
        IoRange? range = _map.Find(address, data.Length);
        if (range is null || !IsWidth(data.Length))
        {
            LogUnanswered(address, data.Length, isWrite: true);
            return IoResult.NoResponse;
        }

        IoResult result = range.Device.Write(address - range.Base, data);
        if (result != IoResult.Ok)
        {
            LogRefused(range, address, data.Length, isWrite: true, result);
        }

        return result;
    }

    private static bool IsWidth(int length) => length is 1 or 2 or 4 or 8;

    private static string Describe(ulong start, ulong size, string name) => $"{name} [0x{start:x}, {size} bytes]";

    private bool Fits(ulong start, ulong size) => size != 0 && start <= Last && size - 1 <= Last - start;

    private void LogUnanswered(ulong address, int length, bool isWrite)
    {
        if (_logger.IsEnabled(LogLevel.Debug) && _unansweredLimit.TryTake(out long suppressed))
        {
            BusLog.Unanswered(_logger, isWrite ? "write" : "read", length, Name, address, suppressed);
        }
    }

    private void LogRefused(IoRange range, ulong address, int length, bool isWrite, IoResult result)
    {
        if (_logger.IsEnabled(LogLevel.Debug) && _refusedLimit.TryTake(out long suppressed))
        {
            BusLog.Refused(_logger, range.Name, isWrite ? "write" : "read", length, Name, address, result, suppressed);
        }
    }

    /// <summary>Ranges by rising address. Immutable; the starts are kept apart so that the search touches few cache lines.</summary>
    private sealed class Map(ulong[] starts, IoRange[] ranges)
    {
        public IoRange[] Ranges { get; } = ranges;

        /// <summary>The range that holds the whole access, or null.</summary>
        public IoRange? Find(ulong address, int length)
        {
            int index = LastStartingAtOrBelow(address);
            if (index < 0 || length == 0)
            {
                return null;
            }

            IoRange range = Ranges[index];
            return address <= range.Last && (ulong)(length - 1) <= range.Last - address ? range : null;
        }

        public IoRange? FirstOverlap(ulong first, ulong last, IoRange? except)
        {
            foreach (IoRange range in Ranges)
            {
                if (range != except && range.Base <= last && first <= range.Last)
                {
                    return range;
                }
            }

            return null;
        }

        public bool Contains(IoRange range) => Array.IndexOf(Ranges, range) >= 0;

        public Map With(IoRange range)
        {
            int at = LastStartingAtOrBelow(range.Base) + 1;
            IoRange[] next = new IoRange[Ranges.Length + 1];
            Array.Copy(Ranges, next, at);
            next[at] = range;
            Array.Copy(Ranges, at, next, at + 1, Ranges.Length - at);
            return Of(next);
        }

        public Map Without(IoRange range)
        {
            int at = Array.IndexOf(Ranges, range);
            IoRange[] next = new IoRange[Ranges.Length - 1];
            Array.Copy(Ranges, next, at);
            Array.Copy(Ranges, at + 1, next, at, next.Length - at);
            return Of(next);
        }

        private static Map Of(IoRange[] ranges)
        {
            ulong[] starts = new ulong[ranges.Length];
            for (int i = 0; i < starts.Length; i++)
            {
                starts[i] = ranges[i].Base;
            }

            return new Map(starts, ranges);
        }

        private int LastStartingAtOrBelow(ulong address)
        {
            int low = 0;
            int high = starts.Length - 1;
            while (low <= high)
            {
                int middle = (low + high) >>> 1;
                if (starts[middle] <= address)
                {
                    low = middle + 1;
                }
                else
                {
                    high = middle - 1;
                }
            }

            return high;
        }
    }
}
