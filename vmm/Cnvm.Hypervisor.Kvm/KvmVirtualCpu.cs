using Cnvm.Arch.Cpuid;
using Cnvm.Linux;
using Cnvm.Linux.Kvm;

namespace Cnvm.Hypervisor.Kvm;

/// <summary>A vCPU: its descriptor, the page it shares with the kernel, and the loop that runs the guest.</summary>
internal sealed unsafe partial class KvmVirtualCpu : IVirtualCpu
{
    // Configuration
    private readonly KvmPartition _partition;
    private readonly IVcpuBus _bus;
    private readonly FileDescriptor _fd;
    private readonly MappedMemory _mapping;
    private readonly kvm_run* _run;
    private readonly uint _apicId;
    private CpuidTable _cpuid;

    // Run state
    private int _boundThread;
    private int _runningThread;
    private bool _disposed;

    public KvmVirtualCpu(KvmPartition partition, int index, uint apicId, CpuidTable cpuid, IVcpuBus bus)
    {
        _partition = partition;
        Index = index;
        _apicId = apicId;
        _bus = bus;
        _cpuid = cpuid;

        // KVM takes the vCPU's id for its initial APIC id.
        _fd = new FileDescriptor(KvmIoctl.Call(partition.Fd, KvmRequest.KVM_CREATE_VCPU, (nint)apicId));
        try
        {
            _mapping = MappedMemory.Map(
                partition.RunSize, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, _fd.Value, 0, "a vCPU's run page");
            // SAFETY: the mapping is larger than the struct and lives as long as this object.
            _run = (kvm_run*)_mapping.Address;
            KvmCpuid.Set(_fd.Value, cpuid);
            if (partition.Options.TscKhz != 0)
            {
                RestoreTscFrequency(partition.Options.TscKhz);
            }

            SetFirmwareDefaults();
        }
        catch
        {
            _mapping?.Dispose();
            _fd.Dispose();
            throw;
        }
    }

    public int Index { get; }

    public VcpuExitCounters ExitCounters { get; } = new();

    internal int Fd => _fd.Value;

    public void Bind()
    {
        KickSignal.Attach(_fd.Value);
        _boundThread = NativeThread.CurrentId;
    }

    public VcpuStop Run()
    {
        if (_boundThread != NativeThread.CurrentId)
        {
            throw new InvalidOperationException("a vCPU runs only on the thread that called Bind");
        }

        // From here on a kick sends the signal too. The full fence orders this before the kernel looks at immediate_exit.
        Interlocked.Exchange(ref _runningThread, _boundThread);
        try
        {
            VcpuStop stop;
            while (!Step(out stop))
            {
            }

            return stop;
        }
        finally
        {
            Volatile.Write(ref _runningThread, 0);
        }
    }

    public void Dispose()
    {
        if (_disposed)
        {
            return;
        }

        _disposed = true;
        _partition.Remove(this);
        _mapping.Dispose();
        _fd.Dispose();
    }
}
