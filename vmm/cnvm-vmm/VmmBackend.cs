using Cnvm.Hypervisor;
using Cnvm.Hypervisor.Kvm;
using Cnvm.Hypervisor.Soft;
using Microsoft.Extensions.Logging;

namespace Cnvm.VmmProgram;

/// <summary>The one place that chooses a hypervisor.</summary>
internal static partial class VmmBackend
{
    /// <param name="choice">auto, kvm or soft. Auto is KVM where it can run ordinary guests, and otherwise soft.</param>
    /// <exception cref="HypervisorException">There is none that works here; the message says why.</exception>
    public static IHypervisor OpenHypervisor(string choice, ILoggerFactory logging)
    {
        ILogger log = logging.CreateLogger("hypervisor");
        if (choice == "soft")
        {
            return SoftHypervisor.Create(log);
        }

        if (choice == "kvm")
        {
            return KvmHypervisor.Open(logger: logging.CreateLogger("kvm"));
        }

        string? obstacle;
        try
        {
            KvmHypervisor kvm = KvmHypervisor.Open(logger: logging.CreateLogger("kvm"));
            if (kvm.Capabilities.RunsOrdinaryGuests)
            {
                return kvm;
            }

            obstacle = kvm.Capabilities.OrdinaryGuestsObstacle;
            kvm.Dispose();
        }
        catch (HypervisorException e)
        {
            obstacle = e.Message;
        }

        LogSoft(log, obstacle ?? "KVM cannot run ordinary guests");
        return SoftHypervisor.Create(log);
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "using the software vCPU: {Reason}")]
    private static partial void LogSoft(ILogger log, string reason);
}
