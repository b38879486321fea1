use validator::ValidateRange;

/// Where a sensor is: a GeoJSON Point (RFC 7946 §3.1.2), WGS 84.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Location {
    longitude_deg: f64,
    latitude_deg: f64,
    altitude_m: Option<f64>,
}

impl Location {
    /// A position: degrees east, degrees north, and metres above the WGS 84 ellipsoid where known.
    ///
    /// # Errors
    /// The index of the coordinate that is out of range (0 longitude, 1 latitude, 2 altitude) and what is allowed.
    pub fn new(
        longitude_deg: f64,
        latitude_deg: f64,
        altitude_m: Option<f64>,
    ) -> Result<Self, Vec<(usize, &'static str)>> {
        let mut faults = Vec::new();
        if !longitude_deg.validate_range(Some(-180.0), Some(180.0), None, None) {
            faults.push((0, "longitude must be within -180 and 180 degrees"));
        }
        if !latitude_deg.validate_range(Some(-90.0), Some(90.0), None, None) {
            faults.push((1, "latitude must be within -90 and 90 degrees"));
        }
        if altitude_m.is_some_and(|altitude| !altitude.is_finite()) {
            faults.push((2, "altitude must be a finite number of metres"));
        }
        if faults.is_empty() {
            Ok(Self {
                longitude_deg,
                latitude_deg,
                altitude_m,
            })
        } else {
            Err(faults)
        }
    }

    /// Degrees east, -180 to 180.
    #[must_use]
    pub const fn longitude_deg(self) -> f64 {
        self.longitude_deg
    }

    /// Degrees north, -90 to 90.
    #[must_use]
    pub const fn latitude_deg(self) -> f64 {
        self.latitude_deg
    }

    /// Longitude, latitude and, where known, altitude: the order of GeoJSON.
    pub fn coordinates(&self) -> impl Iterator<Item = f64> {
        [Some(self.longitude_deg), Some(self.latitude_deg), self.altitude_m]
            .into_iter()
            .flatten()
    }
}
