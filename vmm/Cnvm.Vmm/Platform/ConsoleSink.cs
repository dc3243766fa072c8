using Cnvm.Devices.Platform;
using Cnvm.Vmm.Consoles;

namespace Cnvm.Vmm.Platform;

/// <summary>The debug port's bytes to a host console. What the console has no room for is lost: nothing waits for a debug port.</summary>
internal sealed class ConsoleSink(HostConsole console) : IByteSink
{
    public void Write(byte value) => _ = console.Write([value]);
}
