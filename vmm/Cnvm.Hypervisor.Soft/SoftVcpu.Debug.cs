namespace Cnvm.Hypervisor.Soft;

/// <summary>A debugger outside the guest: code then runs one instruction at a time.</summary>
internal sealed unsafe partial class SoftVcpu
{
    private VcpuDebug? _debug;

    public void SetDebug(VcpuDebug? debug)
    {
        if (debug is { Breakpoints.Length: > VcpuDebug.MaxBreakpoints })
        {
            throw new HypervisorException($"soft: vCPU {Index}: at most {VcpuDebug.MaxBreakpoints} breakpoints are possible");
        }

        _debug = debug;
    }

    /// <summary>Executes one instruction unless a breakpoint stands before it; true when the debugger is to be told.</summary>
    /// <param name="atStop">The run begins here: a breakpoint at this very place was reported already.</param>
    private bool StepForDebugger(VcpuDebug debug, ref bool atStop)
    {
        ulong at = _c->R[17] + _c->R[19];
        if (!atStop && !debug.Breakpoints.IsDefault && debug.Breakpoints.Contains(at))
        {
            return true;
        }

        atStop = false;
        Step();
        return debug.SingleStep;
    }
}
