using Cnvm.Bench.Machines;
using Cnvm.Nested;

namespace Cnvm.Bench.Devices;

/// <summary>
/// A device in a Linux guest that works with it, by the guest's clock: cnvm and QEMU with the same kernel, the same program and the same
/// files. On this machine the software vCPU and QEMU's translator, whose speed is then most of a figure; or both with KVM in the nested host,
/// whose processors are emulated.
/// </summary>
internal abstract class DeviceExperiment(Workspace workspace, bool isNested) : Experiment
{
    /// <summary>A piece of work takes so long, in milliseconds of the guest's clock.</summary>
    protected const int WorkMilliseconds = 600;

    private DeviceHost? _host;

    public override IReadOnlyList<string> Sides => [Cnvm.Name, Qemu.Name];

    protected override int DefaultRounds => isNested ? 2 : 3;

    protected override TimeSpan Budget => TimeSpan.FromSeconds(60);

    /// <summary>How names of figures begin.</summary>
    protected string Prefix => isNested ? "dev-nested-" : "dev-soft-";

    /// <summary>How descriptions of figures end.</summary>
    protected string Where => isNested ? "(KVM both, in the nested host)" : "(software vCPU against QEMU's translator)";

    protected Vmm Cnvm { get; } = isNested ? new CnvmVmm() : CnvmVmm.SoftCloud;

    protected Vmm Qemu { get; } = isNested ? QemuVmm.Q35 : QemuVmm.TcgQ35;

    protected sealed override double[] Sample(string side)
    {
        try
        {
            _host ??= Task.Run(StartAsync).GetAwaiter().GetResult();
            return Task.Run(() => MeasureAsync(_host, side)).GetAwaiter().GetResult();
        }
        catch (Exception e) when (e is NestedHostException or TimeoutException or MeasurementException)
        {
            if (isNested)
            {
                // Emulated hosts have been seen to stop under load; the next sample gets a new one.
                TearDown();
            }

            throw new MeasurementException($"{side}: {e.Message}", e);
        }
    }

    protected override void TearDown()
    {
        DeviceHost? host = Interlocked.Exchange(ref _host, null);
        host?.DisposeAsync().AsTask().GetAwaiter().GetResult();
    }

    /// <summary>Makes on the host what all guests find there.</summary>
    protected abstract Task PrepareAsync(DeviceHost host);

    /// <summary>The guest's devices.</summary>
    protected abstract GuestPlan Plan(DeviceHost host, string side);

    /// <summary>Starts what a side needs beside its VMM; null if nothing.</summary>
    /// <exception cref="UnavailableException">This side cannot be measured on this host.</exception>
    protected virtual Task<HostProcess?> StartBackendAsync(DeviceHost host, string side) => Task.FromResult<HostProcess?>(null);

    /// <summary>Gives a value for every measure.</summary>
    protected abstract Task<double[]> WorkAsync(DeviceGuest guest, string side);

    private async Task<double[]> MeasureAsync(DeviceHost host, string side)
    {
        await using HostProcess? backend = await StartBackendAsync(host, side);
        await using DeviceGuest guest = await DeviceGuest.BootAsync(workspace, host, side == Qemu.Name ? Qemu : Cnvm, Plan(host, side));
        double[] values = await WorkAsync(guest, side);
        await guest.CheckClockAsync();
        return values;
    }

    private async Task<DeviceHost> StartAsync()
    {
        DeviceHost host = await DeviceHost.StartAsync(workspace, isNested);
        try
        {
            await PrepareAsync(host);
            return host;
        }
        catch
        {
            await host.DisposeAsync();
            throw;
        }
    }
}
