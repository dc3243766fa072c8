using System.Text;
using Cnvm.CommandLine;
using Cnvm.Hypervisor;
using Cnvm.Linux;
using Cnvm.Vmm.Cpus;
using Cnvm.VmmProgram.Logging;

namespace Cnvm.VmmProgram;

/// <summary>What <c>--host-capabilities</c> prints: the file that another host checks a snapshot against.</summary>
internal static class HostReport
{
    /// <param name="started">Timestamp of the process's start, which log lines are dated from.</param>
    /// <exception cref="HypervisorException">The hypervisor does not work here.</exception>
    public static string Make(LaunchOptions options, long started)
    {
        // A log is for the caller only.
        FileCreationMask.Set(FileCreationMask.OwnerOnly);
        var format = new LogFormat(options.LogFormat ?? LogFormat.Default);
        using var logging = new LineLoggerFactory(options.LogLevel, format, options.LogFile, started);
        using IHypervisor hypervisor = VmmBackend.OpenHypervisor(options.Hypervisor, logging);
        return Encoding.UTF8.GetString(HostCapabilitiesFile.Write(HostCapabilities.Of(hypervisor)));
    }
}
