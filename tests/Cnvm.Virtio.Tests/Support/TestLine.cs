using Cnvm.Devices.Interrupts;

namespace Cnvm.Virtio.Tests.Support;

internal sealed class TestLine : IInterruptLine
{
    private volatile bool _asserted;

    public bool IsAsserted => _asserted;

    /// <summary>How often it has risen.</summary>
    public int Edges { get; private set; }

    public void SetLevel(bool asserted)
    {
        Edges += asserted && !_asserted ? 1 : 0;
        _asserted = asserted;
    }

    public void Await() => Assert.True(SpinWait.SpinUntil(() => _asserted, TimeSpan.FromSeconds(10)), "the line did not rise within ten seconds");
}
