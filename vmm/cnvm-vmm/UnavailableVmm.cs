using Cnvm.Vmm;
using Cnvm.Vmm.Config;

namespace Cnvm.VmmProgram;

/// <summary>A VMM without a machine: answers pings, refuses everything else as not available in this build.</summary>
internal sealed class UnavailableVmm : IVmm
{
    private readonly VmmOptions _options;

    public UnavailableVmm(VmmOptions options) => _options = options;

    public VmmPing Ping() => _options.Ping;

    public void Create(VmConfig config) => throw Unavailable();

    public void Boot() => throw Unavailable();

    public VmInfo Info() => throw Unavailable();

    public IReadOnlyDictionary<string, IReadOnlyDictionary<string, ulong>> Counters() => throw Unavailable();

    public void Pause() => throw Unavailable();

    public void Resume() => throw Unavailable();

    public void Reboot() => throw Unavailable();

    public void PowerButton() => throw Unavailable();

    public void Nmi() => throw Unavailable();

    public void Shutdown() => throw Unavailable();

    public void Delete()
    {
    }

    public void ShutdownVmm()
    {
    }

    internal static VmmException Unavailable() => new(VmmErrorKind.Internal, "Virtual machines are not available in this build");
}
