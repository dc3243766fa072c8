namespace Cnvm.Devices.Interrupts;

/// <summary>One line into several controllers: an ISA interrupt goes to the PIC and to the I/O APIC.</summary>
public sealed class InterruptFanOut(params IInterruptLine[] lines) : IInterruptLine
{
    private readonly IInterruptLine[] _lines = [.. lines];

    public void SetLevel(bool asserted)
    {
        foreach (IInterruptLine line in _lines)
        {
            line.SetLevel(asserted);
        }
    }
}
