namespace Cnvm.Devices.Interrupts;

/// <summary>A line that several devices hold: asserted while any of them asserts it, as PCI interrupt pins share one.</summary>
public sealed class SharedInterruptLine(IInterruptLine line)
{
    private readonly Lock _lock = new();
    private int _asserted;

    /// <summary>One device's hold on the line.</summary>
    public IInterruptLine CreateInput() => new Input(this);

    private void Change(int by)
    {
        _asserted += by;
        line.SetLevel(_asserted > 0);
    }

    private sealed class Input(SharedInterruptLine owner) : IInterruptLine
    {
        private bool _level;

        public void SetLevel(bool asserted)
        {
            // The line is driven under the lock, so that the last level is the true one.
            lock (owner._lock)
            {
                if (_level != asserted)
                {
                    _level = asserted;
                    owner.Change(asserted ? 1 : -1);
                }
            }
        }
    }
}
