using System.Globalization;
using System.Runtime.Intrinsics.X86;
using Cnvm.Arch.Cpuid;
using Cnvm.Hypervisor.State;
using Cnvm.Linux;
using Cnvm.Linux.Kvm;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>The hypervisor contract on /dev/kvm (Documentation/virt/kvm/api.rst). Any thread.</summary>
public sealed class KvmHypervisor : IHypervisor
{
    private const string DefaultPath = "/dev/kvm";

    private static readonly (uint Number, string Name)[] RequiredCapabilities =
    [
        (KvmCap.KVM_CAP_USER_MEMORY, nameof(KvmCap.KVM_CAP_USER_MEMORY)),
        (KvmCap.KVM_CAP_IMMEDIATE_EXIT, nameof(KvmCap.KVM_CAP_IMMEDIATE_EXIT)),
        (KvmCap.KVM_CAP_SPLIT_IRQCHIP, nameof(KvmCap.KVM_CAP_SPLIT_IRQCHIP)),
        (KvmCap.KVM_CAP_X2APIC_API, nameof(KvmCap.KVM_CAP_X2APIC_API)),
        (KvmCap.KVM_CAP_IRQFD, nameof(KvmCap.KVM_CAP_IRQFD)),
        (KvmCap.KVM_CAP_IRQ_ROUTING, nameof(KvmCap.KVM_CAP_IRQ_ROUTING)),
        (KvmCap.KVM_CAP_IOEVENTFD, nameof(KvmCap.KVM_CAP_IOEVENTFD)),
        (KvmCap.KVM_CAP_SIGNAL_MSI, nameof(KvmCap.KVM_CAP_SIGNAL_MSI)),
        (KvmCap.KVM_CAP_EXT_CPUID, nameof(KvmCap.KVM_CAP_EXT_CPUID)),
        (KvmCap.KVM_CAP_MP_STATE, nameof(KvmCap.KVM_CAP_MP_STATE)),
        (KvmCap.KVM_CAP_VCPU_EVENTS, nameof(KvmCap.KVM_CAP_VCPU_EVENTS)),
        (KvmCap.KVM_CAP_DEBUGREGS, nameof(KvmCap.KVM_CAP_DEBUGREGS)),
        (KvmCap.KVM_CAP_XSAVE, nameof(KvmCap.KVM_CAP_XSAVE)),
        (KvmCap.KVM_CAP_XCRS, nameof(KvmCap.KVM_CAP_XCRS)),
        (KvmCap.KVM_CAP_GET_TSC_KHZ, nameof(KvmCap.KVM_CAP_GET_TSC_KHZ)),
        (KvmCap.KVM_CAP_ADJUST_CLOCK, nameof(KvmCap.KVM_CAP_ADJUST_CLOCK)),
        (KvmCap.KVM_CAP_ENABLE_CAP_VM, nameof(KvmCap.KVM_CAP_ENABLE_CAP_VM)),
    ];

    private readonly FileDescriptor _fd;
    private readonly string _path;
    private readonly ILogger _logger;
    private CpuidTable? _supportedCpuid;
    private FileDescriptor? _spare;

    private KvmHypervisor(FileDescriptor fd, string path, ILogger logger)
    {
        _fd = fd;
        _path = path;
        _logger = logger;
    }

    public string Name => "kvm";

    public HypervisorCapabilities Capabilities => field ??= ReadCapabilities();

    public CpuidTable SupportedCpuid => _supportedCpuid ??= KvmCpuid.Supported(_fd.Value);

    public uint GuestTscKhz => field != 0 ? field : field = ReadGuestTscKhz();

    public MsrSet Msrs => field ??= KvmMsrs.Settable(_fd.Value);

    /// <summary>Opens the device and checks that it can do what a partition needs.</summary>
    /// <exception cref="HypervisorException">There is no such device, no permission, or it is too old; the message says which.</exception>
    public static KvmHypervisor Open(string path = DefaultPath, ILogger? logger = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        int fd = Libc.open(path, Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        if (fd < 0)
        {
            throw CannotOpen(path, LinuxError.Last);
        }

        var kvm = new KvmHypervisor(new FileDescriptor(fd), path, logger ?? NullLogger.Instance);
        try
        {
            kvm.CheckInterface();
            return kvm;
        }
        catch
        {
            kvm.Dispose();
            throw;
        }
    }

    public IPartition CreatePartition(PartitionOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.MaxVcpus, nameof(options));
        if (options.MaxVcpus > Capabilities.MaxVcpus)
        {
            throw new HypervisorException(string.Create(
                CultureInfo.InvariantCulture,
                $"{options.MaxVcpus} vCPUs were asked for, but {_path} allows {Capabilities.MaxVcpus} in one virtual machine"));
        }

        return new KvmPartition(this, options, _logger);
    }

    public void Dispose()
    {
        Interlocked.Exchange(ref _spare, null)?.Dispose();
        _fd.Dispose();
    }

    /// <summary>Descriptor of the device.</summary>
    internal int Fd => _fd.Value;

    /// <summary>A new VM that the caller owns: nothing has been done to it.</summary>
    /// <exception cref="HypervisorException">The kernel makes none.</exception>
    internal FileDescriptor CreateVm() =>
        Interlocked.Exchange(ref _spare, null) ?? new FileDescriptor(KvmIoctl.Call(_fd.Value, KvmRequest.KVM_CREATE_VM));

    /// <summary>Value of KVM_CHECK_EXTENSION on the device; 0: not there.</summary>
    internal int Check(uint capability) => KvmIoctl.Call(_fd.Value, KvmRequest.KVM_CHECK_EXTENSION, (nint)capability);

    private static HypervisorException CannotOpen(string path, int errno) => errno switch
    {
        Errno.ENOENT => new HypervisorException(
            $"{path} does not exist: the kvm module is not loaded, or this machine has no hardware virtualisation. " +
            "Load kvm_intel or kvm_amd; inside a virtual machine ask for nested virtualisation",
            new LinuxException($"open {path}", errno)),
        Errno.EACCES or Errno.EPERM => new HypervisorException(
            $"no permission to open {path}: add the user to the group that owns it (often \"kvm\"), or run as root",
            new LinuxException($"open {path}", errno)),
        Errno.ENODEV or Errno.ENXIO => new HypervisorException(
            $"{path} has no driver behind it: the CPU has no hardware virtualisation or the firmware switched it off",
            new LinuxException($"open {path}", errno)),
        _ => new HypervisorException($"cannot open {path}", new LinuxException($"open {path}", errno)),
    };

    private void CheckInterface()
    {
        int version = Libc.ioctl(_fd.Value, KvmRequest.KVM_GET_API_VERSION, (nint)0);
        if (version < 0 && LinuxError.Last is Errno.ENOTTY or Errno.EINVAL)
        {
            throw new HypervisorException($"{_path} is not a KVM device");
        }

        if (version != KvmConstants.KVM_API_VERSION)
        {
            throw new HypervisorException(string.Create(
                CultureInfo.InvariantCulture,
                $"{_path} speaks KVM API version {version}; version {KvmConstants.KVM_API_VERSION} is needed"));
        }

        foreach ((uint number, string name) in RequiredCapabilities)
        {
            if (Check(number) <= 0)
            {
                throw new HypervisorException($"the KVM of this kernel lacks {name}, which cnvm needs; Linux 5.4 or newer has it");
            }
        }
    }

    private HypervisorCapabilities ReadCapabilities()
    {
        bool ordinary = HostVirtualises();
        return new HypervisorCapabilities
        {
            MaxVcpus = Check(KvmCap.KVM_CAP_MAX_VCPUS),
            PhysicalAddressBits = SupportedCpuid.TryGet(0x8000_0008, 0, out CpuidEntry sizes) ? (int)(sizes.Eax & 0xff) : 36,
            MaxMemoryRegions = Check(KvmCap.KVM_CAP_NR_MEMSLOTS),
            RunsOrdinaryGuests = ordinary,
            OrdinaryGuestsObstacle = ordinary ? null : NoVirtualisation(_path),
            DirtyLog = true,
            DirtyRing = RingCapability() != 0,
            TscScaling = Check(KvmCap.KVM_CAP_TSC_CONTROL) != 0,
            TscKhz = HostTscKhz(),
            X2Apic = true,

            // Without hardware virtualisation KVM accepts the request, but natively run code reaches no breakpoint.
            GuestDebug = ordinary && Check(KvmCap.KVM_CAP_SET_GUEST_DEBUG) != 0,
            MsrFilter = Check(KvmCap.KVM_CAP_X86_MSR_FILTER) != 0,
            ReadOnlyMemory = Check(KvmCap.KVM_CAP_READONLY_MEM) != 0,
        };
    }

    /// <summary>The capability by which dirty rings are switched on, or 0. The newer one names the memory order it promises.</summary>
    internal uint RingCapability() =>
        Check(KvmCap.KVM_CAP_DIRTY_LOG_RING_ACQ_REL) > 0 ? KvmCap.KVM_CAP_DIRTY_LOG_RING_ACQ_REL
        : Check(KvmCap.KVM_CAP_DIRTY_LOG_RING) > 0 ? KvmCap.KVM_CAP_DIRTY_LOG_RING
        : 0;

    /// <summary>The host's CPU has VMX (CPUID.1:ECX[5]) or SVM (CPUID.8000_0001H:ECX[2]).</summary>
    internal static bool HostVirtualises()
    {
        (_, _, int vmx, _) = X86Base.CpuId(1, 0);
        (int last, _, _, _) = X86Base.CpuId(unchecked((int)0x8000_0000), 0);
        (_, _, int svm, _) = (uint)last >= 0x8000_0001 ? X86Base.CpuId(unchecked((int)0x8000_0001), 0) : default;
        return (vmx & (1 << 5)) != 0 || (svm & (1 << 2)) != 0;
    }

    internal static string NoVirtualisation(string path) =>
        $"{path} works, but this CPU offers neither VMX nor SVM: KVM runs user-mode guest code natively and interprets everything " +
        "else, without system calls. Ordinary operating systems do not run on it. Use a host with hardware virtualisation " +
        "(enable nested virtualisation if this is itself a virtual machine)";

    /// <summary>The VM that is asked is kept for the next partition: its end would take milliseconds, which the kernel waits for its readers.</summary>
    private uint ReadGuestTscKhz()
    {
        FileDescriptor vm = CreateVm();
        int khz = Libc.ioctl(vm.Value, KvmRequest.KVM_GET_TSC_KHZ, (nint)0);
        if (khz > 0)
        {
            Interlocked.Exchange(ref _spare, vm)?.Dispose();
            return (uint)khz;
        }

        // Before Linux 5.16 only a vCPU knows.
        using (vm)
        {
            using var vcpu = new FileDescriptor(KvmIoctl.Call(vm.Value, KvmRequest.KVM_CREATE_VCPU, (nint)0));
            return (uint)KvmIoctl.Call(vcpu.Value, KvmRequest.KVM_GET_TSC_KHZ);
        }
    }

    /// <summary>TSC frequency from CPUID leaf 15H, or 0 (SDM vol. 2, CPUID).</summary>
    private static uint HostTscKhz()
    {
        (int last, _, _, _) = X86Base.CpuId(0, 0);
        if (last < 0x15)
        {
            return 0;
        }

        (int denominator, int numerator, int crystal, _) = X86Base.CpuId(0x15, 0);
        return denominator == 0 || numerator == 0 || crystal == 0
            ? 0
            : (uint)((ulong)(uint)crystal * (uint)numerator / (uint)denominator / 1000);
    }
}
