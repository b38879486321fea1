use std::f64::consts::FRAC_PI_2;
use std::str::FromStr;

use geographiclib_rs::{Geodesic, InverseGeodesic};

/// Longitudes and latitudes of WGS 84 from edge to edge; the edges belong to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rectangle {
    /// Degrees east, at most those of `east_deg`.
    pub west_deg: f64,
    /// Degrees north, at most those of `north_deg`.
    pub south_deg: f64,
    /// Degrees east.
    pub east_deg: f64,
    /// Degrees north.
    pub north_deg: f64,
}

/// A bounding box (RFC 7946 §5): one whose west is greater than its east lies across the antimeridian.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundingBox(Rectangle);

/// A position and a distance from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Circle {
    center: Center,
    radius_m: f64,
}

/// Where a circle has its middle: longitude and latitude.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Center {
    longitude_deg: f64,
    latitude_deg: f64,
}

impl BoundingBox {
    /// West, south, east and north, in degrees.
    #[must_use]
    pub const fn edges(&self) -> [f64; 4] {
        let Rectangle {
            west_deg,
            south_deg,
            east_deg,
            north_deg,
        } = self.0;
        [west_deg, south_deg, east_deg, north_deg]
    }

    /// All positions in it, each in at least one of the rectangles.
    #[must_use]
    pub fn rectangles(&self) -> Vec<Rectangle> {
        rectangles(self.0)
    }
}

impl FromStr for BoundingBox {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "must be west,south,east,north in degrees, longitudes within ±180, latitudes within ±90";
        let [west_deg, south_deg, east_deg, north_deg] = numbers(text).ok_or(SHAPE)?;
        let in_range = is_position(west_deg, south_deg) && is_position(east_deg, north_deg);
        if !in_range {
            return Err(SHAPE);
        }
        if south_deg > north_deg {
            return Err("south must not be north of north: west,south,east,north");
        }
        Ok(Self(Rectangle {
            west_deg,
            south_deg,
            east_deg,
            north_deg,
        }))
    }
}

impl Center {
    /// Longitude and latitude, in degrees.
    #[must_use]
    pub const fn position(&self) -> [f64; 2] {
        [self.longitude_deg, self.latitude_deg]
    }
}

impl FromStr for Center {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let position = numbers(text).filter(|[longitude, latitude]| is_position(*longitude, *latitude));
        let [longitude_deg, latitude_deg] =
            position.ok_or("must be longitude,latitude in degrees, within ±180 and ±90")?;
        Ok(Self {
            longitude_deg,
            latitude_deg,
        })
    }
}

impl Circle {
    /// The longest radius, in metres: nothing on Earth is farther away.
    pub const MAX_RADIUS_M: f64 = 20_037_509.0;

    /// A circle; `None` when the radius is not within 0 and [`Self::MAX_RADIUS_M`].
    #[must_use]
    pub fn new(center: Center, radius_m: f64) -> Option<Self> {
        (0.0..=Self::MAX_RADIUS_M)
            .contains(&radius_m)
            .then_some(Self { center, radius_m })
    }

    /// Where its middle is.
    #[must_use]
    pub const fn center(&self) -> Center {
        self.center
    }

    /// The distance that belongs to it, in metres.
    #[must_use]
    pub const fn radius_m(&self) -> f64 {
        self.radius_m
    }

    /// Whether a position is at most the radius away, along the shortest line on the ellipsoid (Karney 2013).
    #[must_use]
    pub fn contains(&self, longitude_deg: f64, latitude_deg: f64) -> bool {
        let [own_longitude_deg, own_latitude_deg] = self.center.position();
        let distance_m: f64 =
            Geodesic::wgs84().inverse(own_latitude_deg, own_longitude_deg, latitude_deg, longitude_deg);
        distance_m <= self.radius_m
    }

    /// Rectangles that hold all positions in it, and some more.
    #[must_use]
    pub fn rectangles(&self) -> Vec<Rectangle> {
        // Nowhere is the ellipsoid curved more than along the meridian at the equator. So on a sphere of this radius the
        // same two latitudes and longitudes are never farther apart, and what the circle holds is held by a cap of it.
        const SMALLEST_RADIUS_M: f64 = 6_335_439.0;
        // For what is lost in rounding: a tenth of a millimetre.
        const MARGIN_DEG: f64 = 1e-9;
        let [longitude_deg, latitude_deg] = self.center.position();
        let angle = self.radius_m / SMALLEST_RADIUS_M;
        let angle_deg = angle.to_degrees() + MARGIN_DEG;
        let (south_deg, north_deg) = (latitude_deg - angle_deg, latitude_deg + angle_deg);
        let holds_a_pole = south_deg <= -90.0 || north_deg >= 90.0 || angle >= FRAC_PI_2;
        let reach_deg = if holds_a_pole {
            180.0
        } else {
            (angle.sin() / latitude_deg.to_radians().cos())
                .min(1.0)
                .asin()
                .to_degrees()
                + MARGIN_DEG
        };
        let (west_deg, east_deg) = if reach_deg >= 180.0 {
            (-180.0, 180.0)
        } else {
            (wrapped(longitude_deg - reach_deg), wrapped(longitude_deg + reach_deg))
        };
        rectangles(Rectangle {
            west_deg,
            south_deg: south_deg.max(-90.0),
            east_deg,
            north_deg: north_deg.min(90.0),
        })
    }
}

/// The same positions without an edge across the antimeridian. The meridians of -180° and 180° are one, and so is each pole
/// at all longitudes.
fn rectangles(area: Rectangle) -> Vec<Rectangle> {
    let span = |west_deg, east_deg| Rectangle {
        west_deg,
        east_deg,
        ..area
    };
    let (west, east) = (area.west_deg, area.east_deg);
    let mut found = if west > east {
        vec![span(west, 180.0), span(-180.0, east)]
    } else {
        vec![area]
    };
    if west <= east && east >= 180.0 {
        found.push(span(-180.0, -180.0));
    }
    if west <= east && west <= -180.0 {
        found.push(span(180.0, 180.0));
    }
    let poles = [-90.0, 90.0].into_iter();
    found.extend(
        poles
            .filter(|pole| (area.south_deg..=area.north_deg).contains(pole))
            .map(|pole| Rectangle {
                west_deg: -180.0,
                south_deg: pole,
                east_deg: 180.0,
                north_deg: pole,
            }),
    );
    found
}

fn wrapped(longitude_deg: f64) -> f64 {
    if longitude_deg > 180.0 {
        longitude_deg - 360.0
    } else if longitude_deg < -180.0 {
        longitude_deg + 360.0
    } else {
        longitude_deg
    }
}

fn is_position(longitude_deg: f64, latitude_deg: f64) -> bool {
    (-180.0..=180.0).contains(&longitude_deg) && (-90.0..=90.0).contains(&latitude_deg)
}

/// As many numbers as there should be, with commas between them.
fn numbers<const N: usize>(text: &str) -> Option<[f64; N]> {
    let numbers: Option<Vec<f64>> = text.split(',').map(super::finite_number).collect();
    numbers?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn holds(rectangles: &[Rectangle], longitude_deg: f64, latitude_deg: f64) -> bool {
        rectangles.iter().any(|area| {
            (area.west_deg..=area.east_deg).contains(&longitude_deg)
                && (area.south_deg..=area.north_deg).contains(&latitude_deg)
        })
    }

    #[test]
    fn a_box_has_its_edges_the_antimeridian_and_the_poles() {
        let cases = [
            ("10,40,20,50", 10.0, 50.0, true),
            ("10,40,20,50", 9.99, 45.0, false),
            ("170,-10,-170,10", 175.0, 0.0, true),
            ("170,-10,-170,10", -175.0, 0.0, true),
            ("170,-10,-170,10", 0.0, 0.0, false),
            ("170,-10,180,10", -180.0, 0.0, true),
            ("-180,-10,-170,10", 180.0, 0.0, true),
            ("10,80,20,90", 100.0, 90.0, true),
            ("10,80,20,90", 100.0, 89.9, false),
            ("10,-90,20,-80", -100.0, -90.0, true),
            ("5,5,5,5", 5.0, 5.0, true),
            ("5,5,5,5", 6.0, 5.0, false),
            ("180,-10,180,10", -180.0, 0.0, true),
            ("-180,-10,-180,10", 180.0, 0.0, true),
            ("10,-10,20,10", -180.0, 0.0, false),
            ("10,-10,20,10", 180.0, 0.0, false),
        ];
        for (text, longitude, latitude, expected) in cases {
            let rectangles = text.parse::<BoundingBox>().unwrap().rectangles();
            assert_eq!(
                holds(&rectangles, longitude, latitude),
                expected,
                "{text}: {longitude},{latitude}"
            );
        }
    }

    #[test]
    fn what_is_no_area_is_refused() {
        for text in [
            "",
            "1",
            "1,2,3",
            "1,2,3,4,5",
            "1,2,3,",
            "a,b,c,d",
            "-181,0,0,0",
            "0,-91,0,0",
            "0,0,181,0",
            "0,0,0,91",
            "0,10,0,5",
            "NaN,0,0,0",
            "1e999,0,0,0",
            " 1,2,3,4",
            "+1,2,3,4",
        ] {
            assert!(text.parse::<BoundingBox>().is_err(), "{text}");
        }
        for text in ["", "1", "1,2,3", "200,0", "0,91", "x,y"] {
            assert!(text.parse::<Center>().is_err(), "{text}");
        }
        let center = "0,0".parse().unwrap();
        for radius_m in [-1.0, f64::NAN, f64::INFINITY, 3e7] {
            assert_eq!(Circle::new(center, radius_m), None, "{radius_m}");
        }
    }

    #[test]
    fn distances_are_those_of_the_ellipsoid() {
        let circle = |radius_m| Circle::new("12.4924,41.8902".parse().unwrap(), radius_m).unwrap();
        let (milan_longitude, milan_latitude) = (9.1919, 45.4642);
        assert!(!circle(476_000.0).contains(milan_longitude, milan_latitude));
        assert!(circle(478_000.0).contains(milan_longitude, milan_latitude));
        // One degree of the equator is 111 319.49 m.
        let at_the_date_line = Circle::new("179.5,0".parse().unwrap(), 111_320.0).unwrap();
        assert!(at_the_date_line.contains(-179.5, 0.0));
        assert!(
            !Circle::new("179.5,0".parse().unwrap(), 111_319.0)
                .unwrap()
                .contains(-179.5, 0.0)
        );
    }

    #[test]
    fn the_rectangles_of_a_small_circle_are_small_and_go_on_beyond_the_antimeridian() {
        for (center, longitude, latitude, expected) in [
            ("12,42", 12.0, 42.0, true),
            ("12,42", 12.9, 42.0, false),
            ("12,42", 12.0, 42.9, false),
            ("12,42", 12.0, 41.1, false),
            ("179.9,0", -179.9, 0.0, true),
            ("-179.9,0", 179.9, 0.0, true),
            ("179.9,0", -179.0, 0.0, false),
            ("179.9,0", 0.0, 0.0, false),
        ] {
            let circle = Circle::new(center.parse().unwrap(), 50_000.0).unwrap();
            let holds = holds(&circle.rectangles(), longitude, latitude);
            assert_eq!(holds, expected, "{center}: {longitude},{latitude}");
        }
    }

    proptest! {
        #[test]
        fn the_rectangles_of_a_circle_miss_nothing_in_it(
            longitude in -180.0..=180.0_f64, latitude in -90.0..=90.0_f64,
            other_longitude in -180.0..=180.0_f64, other_latitude in -90.0..=90.0_f64, more_m in 0.0..1000.0_f64,
        ) {
            // A radius just long enough, so that every case is at the edge.
            let distance_m: f64 = Geodesic::wgs84().inverse(latitude, longitude, other_latitude, other_longitude);
            let center = Center { longitude_deg: longitude, latitude_deg: latitude };
            let circle = Circle::new(center, (distance_m + more_m).min(Circle::MAX_RADIUS_M)).unwrap();
            prop_assert!(circle.contains(other_longitude, other_latitude));
            prop_assert!(holds(&circle.rectangles(), other_longitude, other_latitude));
        }

        #[test]
        fn also_near_the_poles_and_near_by(
            longitude in -180.0..=180.0_f64, from_pole in 0.0..0.01_f64, other_longitude in -180.0..=180.0_f64,
            other_from_pole in 0.0..0.01_f64,
        ) {
            let (latitude, other_latitude) = (90.0 - from_pole, 90.0 - other_from_pole);
            let distance_m: f64 = Geodesic::wgs84().inverse(latitude, longitude, other_latitude, other_longitude);
            let center = Center { longitude_deg: longitude, latitude_deg: latitude };
            let circle = Circle::new(center, distance_m).unwrap();
            prop_assert!(holds(&circle.rectangles(), other_longitude, other_latitude));
        }
    }
}
