using System.Globalization;
using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.Memory;
using Cnvm.Hypervisor.State;
using Cnvm.Linux;
using Cnvm.Linux.Kvm;
using Microsoft.Extensions.Logging;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>One KVM virtual machine: split irqchip (local APICs in the kernel, everything else ours), memory slots, doorbells.</summary>
internal sealed class KvmPartition : IPartition
{
    private readonly FileDescriptor _fd;
    private readonly Lock _memoryLock = new();
    private readonly List<KvmMemorySlot> _slots = [];
    private readonly KvmInterruptController _interrupts;
    private readonly KvmDirtyRingLog? _rings;
    private uint _nextSlot;
    private MissingPages? _missing;

    public KvmPartition(KvmHypervisor kvm, PartitionOptions options, ILogger logger)
    {
        Hypervisor = kvm;
        Options = options;
        Logger = logger;
        _fd = kvm.CreateVm();
        try
        {
            SetUpForIntel(options);
            Enable(KvmCap.KVM_CAP_SPLIT_IRQCHIP, (ulong)options.IoApicPins);
            Enable(
                KvmCap.KVM_CAP_X2APIC_API,
                KvmConstants.KVM_X2APIC_API_USE_32BIT_IDS | KvmConstants.KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK);
            ExceptionPayload = TryEnable(KvmCap.KVM_CAP_EXCEPTION_PAYLOAD, 1);
            TryEnable(KvmCap.KVM_CAP_X86_TRIPLE_FAULT_EVENT, 1);
            TryEnable(
                KvmCap.KVM_CAP_X86_USER_SPACE_MSR, KvmConstants.KVM_MSR_EXIT_REASON_UNKNOWN | KvmConstants.KVM_MSR_EXIT_REASON_FILTER);
            if (kvm.Capabilities.MsrFilter && options.HiddenMsrs.Count > 0)
            {
                KvmMsrFilter.Hide(_fd.Value, options.HiddenMsrs);
            }

            _interrupts = new KvmInterruptController(_fd.Value, options.IoApicPins);
            uint ring = options.PreferDirtyRing ? kvm.RingCapability() : 0;
            if (ring != 0)
            {
                DirtyLog = _rings = new KvmDirtyRingLog(this, ring);
            }
            else
            {
                DirtyLog = new KvmDirtyBitmapLog(this);
            }

            RunSize = (nuint)KvmIoctl.Call(kvm.Fd, KvmRequest.KVM_GET_VCPU_MMAP_SIZE);
        }
        catch
        {
            _fd.Dispose();
            throw;
        }
    }

    public IInterruptController Interrupts => _interrupts;

    public IDirtyLog DirtyLog { get; }

    internal KvmHypervisor Hypervisor { get; }

    internal PartitionOptions Options { get; }

    internal ILogger Logger { get; }

    internal int Fd => _fd.Value;

    /// <summary>Bytes of a vCPU's shared mapping (struct kvm_run and what follows it).</summary>
    internal nuint RunSize { get; }

    /// <summary>Pending exceptions keep their payload apart (KVM_CAP_EXCEPTION_PAYLOAD), so that saving them changes nothing.</summary>
    internal bool ExceptionPayload { get; }

    /// <summary>Bytes of an XSAVE area on this VM; at least 4096.</summary>
    internal int XsaveSize => field != 0 ? field : field = Math.Max(4096, Check(KvmCap.KVM_CAP_XSAVE2));

    /// <summary>MSRs that this VM's vCPUs save and restore, ascending; found when the first vCPU is saved.</summary>
    internal uint[]? SavedMsrs { get; set; }

    public void MapRam(RamRegion region)
    {
        ArgumentNullException.ThrowIfNull(region);
        lock (_memoryLock)
        {
            foreach (KvmMemorySlot other in _slots)
            {
                if (region.Gpa < other.Region.End && other.Region.Gpa < region.End)
                {
                    throw new HypervisorException(string.Create(
                        CultureInfo.InvariantCulture,
                        $"RAM at 0x{region.Gpa:x}..0x{region.End:x} overlaps RAM at 0x{other.Region.Gpa:x}..0x{other.Region.End:x}"));
                }
            }

            if (_slots.Count >= Hypervisor.Capabilities.MaxMemoryRegions)
            {
                throw new HypervisorException($"this host's KVM has room for {_slots.Count} RAM regions, no more");
            }

            var slot = new KvmMemorySlot(_nextSlot, region);
            SetSlot(slot, region.Size, slot.LogDirty = DirtyLogging);
            _slots.Add(slot);
            _nextSlot = FreeSlotNumber();
        }
    }

    public void UnmapRam(RamRegion region)
    {
        ArgumentNullException.ThrowIfNull(region);
        lock (_memoryLock)
        {
            KvmMemorySlot slot = _slots.Find(s => s.Region == region)
                ?? throw new HypervisorException($"no RAM is mapped at 0x{region.Gpa:x}..0x{region.End:x}");
            SetSlot(slot, 0, false);
            _slots.Remove(slot);
            _nextSlot = FreeSlotNumber();
        }
    }

    public IVirtualCpu CreateVcpu(int index, uint apicId, CpuidTable cpuid, IVcpuBus bus)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, Options.MaxVcpus);
        ArgumentNullException.ThrowIfNull(cpuid);
        ArgumentNullException.ThrowIfNull(bus);
        var vcpu = new KvmVirtualCpu(this, index, apicId, cpuid, bus);
        _rings?.Add(vcpu);
        return vcpu;
    }

    public IDisposable AddDoorbell(DoorbellSpace space, ulong address, int width, ulong? dataMatch, EventFd target)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (width is not (0 or 1 or 2 or 4 or 8) || (width == 0 && dataMatch is not null))
        {
            throw new ArgumentOutOfRangeException(nameof(width), width, "a doorbell is 1, 2, 4 or 8 bytes wide, or 0 without a value to match");
        }

        return new KvmDoorbell(_fd, space, address, width, dataMatch, target);
    }

    /// <summary>The first vCPU's TSC as it was restored: its saved value, its frequency, and what KVM adds to the host's for it.</summary>
    internal (ulong Value, uint Khz, ulong Offset)? FirstTsc { get; set; }

    public ParavirtualClock SaveClock()
    {
        kvm_clock_data data = default;
        KvmIoctl.Call(Fd, KvmRequest.KVM_GET_CLOCK, ref data);
        return new ParavirtualClock(
            data.clock,
            // KVM tells only where the host's own clock is its TSC. A reading right behind is as good as two hosts' clocks agree.
            (data.flags & KvmConstants.KVM_CLOCK_REALTIME) != 0 ? data.realtime : ParavirtualClock.RealtimeNow,
            (data.flags & KvmConstants.KVM_CLOCK_HOST_TSC) != 0 ? data.host_tsc : 0);
    }

    public void RestoreClock(ParavirtualClock clock)
    {
        ArgumentNullException.ThrowIfNull(clock);

        // Without KVM_CLOCK_REALTIME the clock goes on where it stood: guest time stands still while the machine does.
        var data = new kvm_clock_data { clock = clock.Nanoseconds };
        KvmIoctl.Call(Fd, KvmRequest.KVM_SET_CLOCK, ref data);
    }

    public void Dispose()
    {
        _interrupts.Dispose();
        _fd.Dispose();
    }

    /// <summary>Value of KVM_CHECK_EXTENSION on this VM; 0: not there.</summary>
    internal int Check(uint capability) => KvmIoctl.Call(Fd, KvmRequest.KVM_CHECK_EXTENSION, (nint)capability);

    internal unsafe void Enable(uint capability, ulong argument)
    {
        var cap = new kvm_enable_cap { cap = capability };
        cap.args[0] = argument;
        KvmIoctl.Call(Fd, KvmRequest.KVM_ENABLE_CAP, ref cap, string.Create(CultureInfo.InvariantCulture, $"KVM_ENABLE_CAP({capability})"));
    }

    /// <summary>Switches an optional capability on; false if this kernel lacks it.</summary>
    internal bool TryEnable(uint capability, ulong argument)
    {
        if (Check(capability) <= 0)
        {
            return false;
        }

        Enable(capability, argument);
        return true;
    }

    /// <summary>Whether new and existing slots log dirty pages.</summary>
    internal bool DirtyLogging { get; private set; }

    /// <summary>Turns the dirty log of every slot on or off.</summary>
    internal void SetDirtyLogging(bool on)
    {
        lock (_memoryLock)
        {
            DirtyLogging = on;
            foreach (KvmMemorySlot slot in _slots)
            {
                if (slot.LogDirty != on)
                {
                    SetSlot(slot, slot.Region.Size, on);
                    slot.LogDirty = on;
                }
            }
        }
    }

    /// <summary>Whoever the kernel runs waits in the kernel; only this program's reports have to know.</summary>
    public void Await(MissingPages? missing) => Volatile.Write(ref _missing, missing);

    /// <summary>The slots as they are now; the caller may keep the array.</summary>
    internal KvmMemorySlot[] Slots()
    {
        lock (_memoryLock)
        {
            return [.. _slots];
        }
    }

    /// <summary>Harvests the rings because one is full; on the vCPU's thread.</summary>
    internal void DirtyRingFull() => _rings?.Harvest();

    /// <summary>Takes a vCPU's ring out of the log.</summary>
    internal void Remove(KvmVirtualCpu vcpu) => _rings?.Remove(vcpu);

    /// <summary>Bytes of guest RAM for a report; empty if the address is not RAM, or pages are missing: a report must not wait for one.</summary>
    internal unsafe ReadOnlySpan<byte> PeekRam(ulong gpa, int length)
    {
        if (Volatile.Read(ref _missing) is not null)
        {
            return [];
        }

        foreach (KvmMemorySlot slot in Slots())
        {
            if (gpa >= slot.Region.Gpa && gpa < slot.Region.End)
            {
                int inside = (int)Math.Min((ulong)length, slot.Region.End - gpa);
                // SAFETY: the range was just found inside a mapped region.
                return new ReadOnlySpan<byte>((byte*)slot.Region.HostAddress + (gpa - slot.Region.Gpa), inside);
            }
        }

        return [];
    }

    // Intel CPUs without unrestricted guest run real mode through a TSS and an identity map that live in guest-physical space.
    private void SetUpForIntel(PartitionOptions options)
    {
        if (Hypervisor.Check(KvmCap.KVM_CAP_SET_IDENTITY_MAP_ADDR) > 0)
        {
            ulong address = options.IdentityMapAddress;
            KvmIoctl.Call(Fd, KvmRequest.KVM_SET_IDENTITY_MAP_ADDR, ref address);
        }

        if (Hypervisor.Check(KvmCap.KVM_CAP_SET_TSS_ADDR) > 0)
        {
            KvmIoctl.Call(Fd, KvmRequest.KVM_SET_TSS_ADDR, (nint)options.TssAddress);
        }
    }

    private void SetSlot(KvmMemorySlot slot, ulong size, bool logDirty)
    {
        var memory = new kvm_userspace_memory_region
        {
            slot = slot.Number,
            flags = logDirty ? KvmConstants.KVM_MEM_LOG_DIRTY_PAGES : 0,
            guest_phys_addr = slot.Region.Gpa,
            memory_size = size,
            userspace_addr = (ulong)slot.Region.HostAddress,
        };
        KvmIoctl.Call(
            Fd,
            KvmRequest.KVM_SET_USER_MEMORY_REGION,
            ref memory,
            string.Create(CultureInfo.InvariantCulture, $"KVM_SET_USER_MEMORY_REGION 0x{slot.Region.Gpa:x}..0x{slot.Region.End:x}"));
    }

    private uint FreeSlotNumber()
    {
        uint number = 0;
        while (_slots.Exists(s => s.Number == number))
        {
            number++;
        }

        return number;
    }
}
