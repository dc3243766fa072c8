using System.Runtime.InteropServices;
using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.Soft.Core;
using Cnvm.Hypervisor.Soft.Memory;
using Cnvm.Hypervisor.Soft.Platform;
using Cnvm.Hypervisor.State;
using Cnvm.Linux;
using Microsoft.Extensions.Logging;

namespace Cnvm.Hypervisor.Soft;

/// <summary>One virtual machine of the software hypervisor.</summary>
internal sealed unsafe partial class SoftPartition : IPartition
{
    private const int MaxRegions = 64;

    private readonly PartitionOptions _options;
    private readonly ILogger _log;
    private readonly Lock _gate = new();
    private readonly RamSlot* _ram;
    private readonly SoftInterrupts _interrupts;
    private readonly SoftDirtyLog _dirtyLog;
    private RamRegion[] _regions = [];
    private MissingPages? _missing;
    private int _ramCount;
    private volatile SoftVcpu[] _vcpus = [];
    private volatile Doorbell[] _doorbells = [];
    private bool _disposed;

    public SoftPartition(PartitionOptions options, ILogger log)
    {
        _options = options;
        _log = log;
        // SAFETY: fixed room for every region; freed in Dispose.
        _ram = (RamSlot*)NativeMemory.AllocZeroed(MaxRegions, (nuint)sizeof(RamSlot));
        _interrupts = new SoftInterrupts(this, options.IoApicPins);
        _dirtyLog = new SoftDirtyLog(this);
    }

    /// <summary>See <see cref="SoftVcpu.SplitLock"/>.</summary>
    public Lock SplitLock { get; } = new();

    public IInterruptController Interrupts => _interrupts;

    public IDirtyLog DirtyLog => _dirtyLog;

    public IReadOnlyList<RamRegion> Regions => _regions;

    public SoftVcpu[] Vcpus => _vcpus;

    public RamSlot* RamSlots(out int count)
    {
        count = _ramCount;
        return _ram;
    }

    public void MapRam(RamRegion region)
    {
        ArgumentNullException.ThrowIfNull(region);
        lock (_gate)
        {
            if (_ramCount == MaxRegions)
            {
                throw new HypervisorException($"soft: no room for another RAM region (at most {MaxRegions})");
            }

            foreach (RamRegion other in _regions)
            {
                if (region.Gpa < other.End && other.Gpa < region.End)
                {
                    throw new HypervisorException($"soft: RAM region 0x{region.Gpa:x}+0x{region.Size:x} overlaps 0x{other.Gpa:x}+0x{other.Size:x}");
                }
            }

            nuint pages = (nuint)(region.Size >> 12);
            _ram[_ramCount] = new RamSlot
            {
                Start = region.Gpa,
                End = region.End,
                Host = (byte*)region.HostAddress,
                CodeLines = (ulong*)NativeMemory.AllocZeroed(pages, sizeof(ulong)),
                Dirty = _dirtyLog.IsRunning ? SoftDirtyLog.AllocateFor(region.Size) : null,
                Awaits = Volatile.Read(ref _missing) is null ? 0UL : 1UL,
            };
            _ramCount++;
            _regions = [.. _regions, region];
            RefreshAll();
        }
    }

    public void UnmapRam(RamRegion region)
    {
        ArgumentNullException.ThrowIfNull(region);
        lock (_gate)
        {
            int i = Array.FindIndex(_regions, r => r.Gpa == region.Gpa && r.Size == region.Size);
            if (i < 0)
            {
                throw new HypervisorException($"soft: RAM region 0x{region.Gpa:x}+0x{region.Size:x} is not mapped");
            }

            NativeMemory.Free(_ram[i].CodeLines);
            NativeMemory.Free(_ram[i].Dirty);
            for (int n = i; n + 1 < _ramCount; n++)
            {
                _ram[n] = _ram[n + 1];
            }

            _ramCount--;
            _regions = [.. _regions.Where((_, n) => n != i)];
            RefreshAll();
        }
    }

    /// <summary>Pages that have to come; null: all are here.</summary>
    public MissingPages? Missing => Volatile.Read(ref _missing);

    public void Await(MissingPages? missing)
    {
        lock (_gate)
        {
            Volatile.Write(ref _missing, missing);
            for (int i = 0; i < _ramCount; i++)
            {
                Volatile.Write(ref _ram[i].Awaits, missing is null ? 0UL : 1UL);
            }
        }
    }

    private void RefreshAll()
    {
        foreach (SoftVcpu vcpu in _vcpus)
        {
            vcpu.RaiseAttention(AttentionBits.FlushAll);
        }
    }

    public IVirtualCpu CreateVcpu(int index, uint apicId, CpuidTable cpuid, IVcpuBus bus)
    {
        ArgumentNullException.ThrowIfNull(cpuid);
        ArgumentNullException.ThrowIfNull(bus);
        lock (_gate)
        {
            if (index < 0 || index >= _options.MaxVcpus || _vcpus.Any(v => v.Index == index || v.ApicId == apicId))
            {
                throw new HypervisorException($"soft: vCPU {index} (APIC id {apicId}) exists or is beyond {_options.MaxVcpus}");
            }

            SoftVcpu vcpu = new(this, index, apicId, cpuid, bus);
            vcpu.SetTscKhz(_options.TscKhz);
            _vcpus = [.. _vcpus, vcpu];
            return vcpu;
        }
    }

    public void Remove(SoftVcpu vcpu)
    {
        lock (_gate)
        {
            _vcpus = [.. _vcpus.Where(v => v != vcpu)];
        }
    }

    public IDisposable AddDoorbell(DoorbellSpace space, ulong address, int width, ulong? dataMatch, EventFd target)
    {
        ArgumentNullException.ThrowIfNull(target);
        Doorbell doorbell = new(this, space, address, width, dataMatch, target);
        lock (_gate)
        {
            _doorbells = [.. _doorbells, doorbell];
        }

        return doorbell;
    }

    /// <summary>Signals the doorbell that a guest write hits; false when there is none.</summary>
    public bool RingDoorbell(DoorbellSpace space, ulong address, int size, ulong value)
    {
        foreach (Doorbell d in _doorbells)
        {
            if (d.Address == address && d.Space == space && (d.Width == 0 || d.Width == size) && (d.Match is not { } match || match == value))
            {
                d.Target.Signal();
                return true;
            }
        }

        return false;
    }

    public ParavirtualClock SaveClock()
    {
        long now = HostClock.Now;
        _clockSaved = now;
        return new ParavirtualClock((ulong)(now - _clockBase), ParavirtualClock.RealtimeNow, 0);
    }

    public void RestoreClock(ParavirtualClock clock)
    {
        ArgumentNullException.ThrowIfNull(clock);
        long now = HostClock.Now;
        if (_clockSaved is { } saved && (ulong)(saved - _clockBase) == clock.Nanoseconds)
        {
            // This machine goes on where it stood, so its TSCs and timers do as well: a guest whose clock is the TSC sees no gap either.
            foreach (SoftVcpu vcpu in _vcpus)
            {
                vcpu.SkipTime(saved, now - saved);
            }
        }

        _clockBase = now - (long)clock.Nanoseconds;
        foreach (SoftVcpu vcpu in _vcpus)
        {
            vcpu.WriteClock();
        }
    }

    private long _clockBase = HostClock.Now;
    private (ulong Value, ulong Offset, uint Khz)? _firstTsc;

    /// <summary>
    /// What a restored TSC adds to the host's time. vCPUs are restored one after the other: TSCs that were saved with less than a second
    /// between them were one and the same, and are so again, however long that takes.
    /// </summary>
    /// <param name="vcpu">The first one's TSC is what others join.</param>
    /// <param name="value">The saved TSC.</param>
    /// <param name="scaled">The host's time now, in ticks.</param>
    public ulong TscOffset(int vcpu, ulong value, ulong scaled, uint khz)
    {
        lock (_gate)
        {
            if (vcpu != 0 && _firstTsc is { } first && first.Khz == khz && Math.Abs((long)(value - first.Value)) < khz * 1000L)
            {
                return first.Offset;
            }

            ulong offset = value - scaled;
            if (vcpu == 0)
            {
                _firstTsc = (value, offset, khz);
            }

            return offset;
        }
    }

    /// <summary>The first vCPU, if a restored TSC is less than a second from what that one's is now: they are one and the same.</summary>
    /// <param name="vcpu">The vCPU that is restored.</param>
    /// <param name="value">Its saved TSC.</param>
    /// <param name="scaled">The host's time now, in ticks.</param>
    public SoftVcpu? FirstWithTsc(int vcpu, ulong value, ulong scaled, uint khz) =>
        vcpu != 0 && Array.Find(_vcpus, v => v.Index == 0) is { } first && first.TscKhz == khz
            && value - scaled - first.TscOffset + (khz * 1000UL) < khz * 2000UL
            ? first
            : null;

    /// <summary>Host time of the last <see cref="SaveClock"/>, or null.</summary>
    private long? _clockSaved;

    /// <summary>Host time at which the guest's paravirtual clock was zero.</summary>
    public long ClockBase => _clockBase;

    public void FlushWritesElsewhere(SoftVcpu? self)
    {
        SoftVcpu[] vcpus = _vcpus;
        if (self is not null && vcpus.Length == 1)
        {
            return;
        }

        foreach (SoftVcpu vcpu in vcpus)
        {
            if (vcpu == self)
            {
                continue;
            }

            int ticket = vcpu.AskFlushWrites();
            SpinWait spin = default;
            while (!vcpu.FlushedWrites(ticket))
            {
                self?.ObeyFlush();
                spin.SpinOnce();
            }
        }
    }

    public void InvalidateElsewhere(SoftVcpu self, ulong page)
    {
        foreach (SoftVcpu vcpu in _vcpus)
        {
            if (vcpu != self)
            {
                vcpu.PostInvalidation(page);
            }
        }
    }

    public void WakeByApicId(uint apicId)
    {
        foreach (SoftVcpu vcpu in _vcpus)
        {
            if (vcpu.ApicId == apicId)
            {
                vcpu.Unhalt();
            }
        }
    }

    /// <summary>Delivers an interrupt to the APICs it names. Any thread.</summary>
    /// <param name="shorthand">0 none, 1 self, 2 all, 3 all but self.</param>
    /// <param name="wide">The destination is 32 bits (x2APIC).</param>
    /// <param name="mode">Delivery mode (SDM vol. 3 §11.6.1).</param>
    public void Route(SoftVcpu? source, int shorthand, uint destination, bool logical, bool wide, int mode, int vector, bool level)
    {
        foreach (SoftVcpu vcpu in _vcpus)
        {
            bool match = shorthand switch
            {
                0 => vcpu.Apic.Matches(destination, logical, wide),
                1 => vcpu == source,
                2 => true,
                _ => vcpu != source,
            };
            if (!match)
            {
                continue;
            }

            switch (mode)
            {
                case 0:
                    vcpu.Apic.Post(vector, level);
                    break;
                case 1:
                    vcpu.Apic.Post(vector, level);
                    return;
                case 4:
                    vcpu.InjectNmi();
                    break;
                case 5:
                    vcpu.PostInit();
                    break;
                case 6:
                    vcpu.PostStartup((byte)vector);
                    break;
                default:
                    // SMI and ExtINT messages have no meaning here.
                    break;
            }
        }
    }

    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        foreach (SoftVcpu vcpu in _vcpus)
        {
            vcpu.Dispose();
        }

        for (int i = 0; i < _ramCount; i++)
        {
            NativeMemory.Free(_ram[i].CodeLines);
            NativeMemory.Free(_ram[i].Dirty);
        }

        NativeMemory.Free(_ram);
        _interrupts.Dispose();
        LogClosed(_log, _options.MaxVcpus);
    }

    /// <summary>Says what a vCPU did in its life.</summary>
    public void Report(SoftVcpu vcpu) => LogVcpu(_log, vcpu.Index, vcpu.InstructionCount);

    [LoggerMessage(Level = LogLevel.Information, Message = "soft: vcpu{Index} executed {Instructions} instructions")]
    private static partial void LogVcpu(ILogger log, int index, ulong instructions);

    [LoggerMessage(Level = LogLevel.Debug, Message = "soft: partition of {Vcpus} vCPUs closed")]
    private static partial void LogClosed(ILogger log, int vcpus);

    private sealed class Doorbell(SoftPartition owner, DoorbellSpace space, ulong address, int width, ulong? match, EventFd target) : IDisposable
    {
        public DoorbellSpace Space => space;

        public ulong Address => address;

        public int Width => width;

        public ulong? Match => match;

        public EventFd Target => target;

        public void Dispose()
        {
            lock (owner._gate)
            {
                owner._doorbells = [.. owner._doorbells.Where(d => d != this)];
            }
        }
    }
}
