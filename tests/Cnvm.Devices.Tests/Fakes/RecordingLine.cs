using Cnvm.Devices.Interrupts;

namespace Cnvm.Devices.Tests.Fakes;

/// <summary>An interrupt line that counts its rises.</summary>
internal sealed class RecordingLine : IInterruptLine
{
    public bool Level { get; private set; }

    public int Rises { get; private set; }

    public void SetLevel(bool asserted)
    {
        if (asserted && !Level)
        {
            Rises++;
        }

        Level = asserted;
    }
}
