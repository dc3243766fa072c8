using Microsoft.Extensions.Logging;

namespace Cnvm.Hypervisor.Kvm;

internal static partial class Log
{
    [LoggerMessage(Level = LogLevel.Debug, Message = "vCPU {Vcpu}: {Instruction} of unknown MSR 0x{Index:x} (value 0x{Value:x}) gets #GP")]
    public static partial void UnknownMsr(ILogger logger, int vcpu, string instruction, uint index, ulong value);
}
