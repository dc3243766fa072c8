using System.Globalization;

namespace Cnvm.Bench.Devices;

/// <summary>
/// Holds a guest's clock against the host's: figures are taken by the guest's, and with one of another speed it would measure anything.
/// The guest says the time twice; between what the host knows to have been before and after each, the guest's difference has to lie, so
/// that a busy host is no reason to find fault.
/// </summary>
/// <param name="askedFirst">Nanoseconds of the host before the first question.</param>
/// <param name="toldFirst">When its answer had come.</param>
/// <param name="first">Seconds by the guest's clock.</param>
internal sealed class GuestClock(long askedFirst, long toldFirst, double first)
{
    private const double Nanoseconds = 1e9;

    // The kernel shows hundredths, and clocks of machines differ by their calibration.
    private const double Share = 0.03;
    private const double Seconds = 0.03;

    /// <param name="asked">Nanoseconds of the host before the second question.</param>
    /// <param name="told">When its answer had come.</param>
    /// <param name="second">Seconds by the guest's clock.</param>
    /// <exception cref="MeasurementException">The guest's clock is slower or faster than the host's.</exception>
    public void Check(long asked, long told, double second)
    {
        double least = (asked - toldFirst) / Nanoseconds;
        double most = (told - askedFirst) / Nanoseconds;
        double passed = second - first;
        if (passed < (least * (1 - Share)) - Seconds || passed > (most * (1 + Share)) + Seconds)
        {
            throw new MeasurementException(string.Create(
                CultureInfo.InvariantCulture, $"{passed:F2} s passed by the guest's clock, and {least:F2} to {most:F2} s by the host's"));
        }
    }
}
